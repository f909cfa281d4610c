"""The form of env files: what systemd, Docker Compose, kubectl and shells read differently, and what breaks when lines are appended.

Sources, read in 2026:

- systemd's ``EnvironmentFile`` (``src/basic/env-file.c``): a carriage return ends a line; an assignment whose name is not a name is ignored
  with a line in the journal, so one behind a byte order mark or ``export`` never reaches Bytes; a comment behind a value is part of it.
- Docker Compose (``compose-go/dotenv``): drops a byte order mark at the beginning of the file, ``export`` and carriage returns; refuses a
  byte order mark elsewhere, and with it the whole project; fills in ``$NAME``, but in single quotes.
- kubectl ``--from-env-file``: drops a byte order mark at the beginning and carriage returns, refuses ``export``, keeps quotes and comments.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from migrator.config.env_file import SYSTEMD_SUFFIXES, syntax_of, systemd_value, written_lines
from migrator.config.environment import layer_of
from migrator.core.findings import Finding
from migrator.doctor import finding_names
from migrator.doctor.finding_shorthands import some_of, warned

_BOM = b"\xef\xbb\xbf"
_FILLED_IN = re.compile(r"\$(?:[A-Za-z_{$])")
_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What is odd about one file; line numbers begin with 1, names are settings of Bytes or boto3."""

    path: Path
    has_mark: bool = False
    has_returns: bool = False
    joins: bool = False
    exports: tuple[int, ...] = ()
    unlike: tuple[str, ...] = ()
    filled_in: tuple[str, ...] = ()

    @property
    def _is_odd(self) -> bool:
        return bool(self.has_mark or self.has_returns or self.joins or self.exports or self.unlike or self.filled_in)


def form_of(path: Path) -> Form:
    """Look at one file; one that cannot be read has nothing odd, which others say."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return Form(path=path)
    form = Form(
        path=path,
        has_mark=content.startswith(_BOM),
        has_returns=b"\r\n" in content,
        joins=bool(content) and not content.endswith(b"\n"),
    )
    if syntax_of(path) in SYSTEMD_SUFFIXES:
        return form
    written = [one for one in written_lines(text) if layer_of([one.setting])]
    return replace(
        form,
        exports=tuple(one.line for one in written if one.is_exported),
        unlike=tuple(one.setting.name for one in written if systemd_value(one.written) != one.setting.value),
        filled_in=tuple(
            one.setting.name
            for one in written
            if _FILLED_IN.search(one.setting.value) and not one.written.startswith("'")
        ),
    )


def form_finding(paths: Sequence[Path]) -> Finding | None:
    """What is odd about these files, for each reader, and the command that mends it; None where nothing is."""
    forms = [form for form in map(form_of, dict.fromkeys(paths)) if form._is_odd]
    if not forms:
        return None
    return warned(
        finding_names.ENV_FILE_FORM,
        " ".join(f"{form.path}: {', '.join(_seen(form))}." for form in forms),
        " ".join(dict.fromkeys(why for form in forms for why in _why(form))),
        " && ".join(filter(None, map(_command, forms))) + _by_hand(forms),
    )


def _seen(form: Form) -> Iterator[str]:
    if form.has_mark:
        yield "a byte order mark at its beginning"
    if form.exports:
        yield f"export in line {some_of([str(line) for line in form.exports])}"
    if form.has_returns:
        yield "carriage returns at the ends of lines"
    if form.joins:
        yield "no newline at its end"
    if form.unlike:
        yield f"a comment, quote or backslash that systemd reads otherwise in {some_of(form.unlike)}"
    if form.filled_in:
        yield f"'$' in {some_of(form.filled_in)}"


def _why(form: Form) -> Iterator[str]:
    if form.has_mark:
        yield (
            "Behind a byte order mark systemd ignores the setting, so Bytes never gets it; Compose and kubectl drop the mark,"
            " but Compose refuses one that is appended to other lines."
        )
    if form.exports:
        yield "systemd ignores lines with export, so Bytes never gets them, and kubectl refuses them; Compose takes them."
    if form.has_returns:
        yield "systemd, Compose and kubectl drop carriage returns; a shell that reads the file makes them part of each value."
    if form.joins:
        yield "What is appended joins the last line: two settings are lost."
    if form.unlike:
        yield "systemd takes a comment behind a value as part of it, and kubectl quotes too; Compose takes neither."
    if form.filled_in:
        yield "Compose fills in what follows '$' unless the value is in single quotes; systemd and kubectl do not."


def _command(form: Form) -> str:
    steps = []
    if form.has_mark:
        steps.append(r"1s/^\xEF\xBB\xBF//")
    if form.has_returns:
        steps.append(r"s/\r$//")
    if form.exports:
        steps.append(r"s/^[[:space:]]*export[[:space:]]\+//")
    if form.joins:
        steps.append("$a\\")
    words = "".join(f" -e {shlex.quote(step)}" for step in steps)
    return f"sed -i{words} {shlex.quote(str(form.path))}" if steps else ""


def _by_hand(forms: Sequence[Form]) -> str:
    odd = [name for form in forms for name in (*form.unlike, *form.filled_in)]
    if not odd:
        return ""
    before = " Then: " if any(map(_command, forms)) else ""
    return f"{before}write {some_of(list(dict.fromkeys(odd)))} without a comment, and in single quotes (for kubectl, without any quotes)."
