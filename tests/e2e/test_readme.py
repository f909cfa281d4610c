"""What the documents say exists, and what exists is said: command lines parse, and no command or option goes unnamed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from migrator.cli.main import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
)
REFERENCE = ROOT / "docs" / "reference.md"
_BLOCK = re.compile(r"^ *```[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(bytes-migrator [^`\n]+)`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_FOREIGN = {"--fast", "--host", "--nthreads"}  # of scripts/test, and of dask


def _command_lines(document: Path) -> Iterator[str]:
    text = document.read_text()
    for block in _BLOCK.findall(text):
        joined = block.replace("\\\n", " ")
        for line in joined.splitlines():
            words = line.strip().removeprefix("$ ")
            start = re.search(r"(?:^|/|\s)(bytes-migrator) (?=[a-z-])", words)
            if start:
                yield words[start.start(1) :]
    yield from _INLINE.findall(re.sub(r"(?m)^#.*$", "", text))  # a heading names a command, and is no line to type


LINES = [(document.relative_to(ROOT).as_posix(), line) for document in DOCUMENTS for line in _command_lines(document)]


def _visible_options(of: click.Command) -> set[str]:
    return {
        name for parameter in of.params for name in (*parameter.opts, *parameter.secondary_opts) if name[:2] == "--"
    }


def test_there_is_something_to_check() -> None:
    assert len({line for document, line in LINES if document == "README.md"}) > 10


@pytest.mark.parametrize(("document", "line"), LINES, ids=lambda text: text[:60])
def test_every_command_line_parses(document: str, line: str) -> None:
    """Names and values of options are taken as click takes them; nothing is run."""
    line = re.split(r"\s(?:#|\||&&|>|2>|…)|;", line)[0].rstrip()
    words = shlex.split(line)[1:]
    while words and words[0].startswith("--"):
        assert words.pop(0) in {"--help", "--version"}, f"{document}: {line}"
    if not words:
        return
    found = cli.commands.get(words[0])
    assert found is not None, f"{document} names a command that does not exist: {line}"
    try:
        found.make_context(words[0], words[1:], resilient_parsing=False).close()
    except click.exceptions.Exit:
        pass  # --help
    except click.UsageError as error:
        if error.format_message().endswith(" does not exist."):
            return  # a file of the reader's
        raise AssertionError(f"{document}: {line}: {error.format_message()}") from error


def _options_in_rows(text: str) -> set[str]:
    return set(_OPTION.findall("\n".join(row.split(" | ")[0] for row in text.splitlines() if row.startswith("| `-"))))


def _section(title: str, level: str = "##") -> str | None:
    """The text below a heading, up to the next one of its level or above."""
    following = "## " if level == "##" else "##"
    pattern = rf"^{level} {re.escape(title)}\n(.*?)(?=^{following}|\Z)"
    found = re.search(pattern, REFERENCE.read_text(), re.MULTILINE | re.DOTALL)
    return found[1] if found else None


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_the_reference_names_exactly_the_options_that_exist(name: str) -> None:
    section, shared = _section(f"`bytes-migrator {name}`"), _options_in_rows(_section("Shared options") or "")
    assert section is not None, f"docs/reference.md has no section for {name}"
    told = _options_in_rows(section)
    [line] = re.findall(r"^\[Shared options\].*", section, re.MULTILINE) or [""]
    named = set(_OPTION.findall(line))
    for anchor in re.findall(r"all \[[^\]]+\]\(#([\w-]+)\)", line):
        named |= _options_in_rows(_section(anchor.replace("-", " ").capitalize(), "###") or "")
    assert named <= shared, "a shared option is explained where all of them are"
    assert not named & told, "an option is explained once"
    assert told | named == _visible_options(cli.commands[name])


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_the_help_shows_what_the_reference_is_held_against(name: str) -> None:
    context = click.Context(cli.commands[name], info_name=name, parent=click.Context(cli))
    shown = set(_OPTION.findall(cli.commands[name].get_help(context)))
    assert _visible_options(cli.commands[name]) <= shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_document_names_an_option_that_does_not_exist(document: Path) -> None:
    known = {name for each in cli.commands.values() for name in _visible_options(each)} | {"--help", "--version"}
    text = _BLOCK.sub("", document.read_text())
    quoted = " ".join(
        found for found in re.findall(r"`([^`\n]+)`", text) if not found.startswith(("docker", "kubectl", "scripts/"))
    )
    assert set(_OPTION.findall(quoted)) <= known | _FOREIGN


def test_the_readme_names_the_two_commands_and_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    for script in ("scripts/demo", "scripts/test"):
        assert script in text
        assert (ROOT / script).stat().st_mode & 0o100
    for name in cli.commands:
        assert f"bytes-migrator {name}" in text
