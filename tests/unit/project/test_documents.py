"""Documents as plain Markdown on a code host: every link and every named path leads somewhere, and the index of decisions has them all."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[3]
DECISIONS = ROOT / "docs" / "adr"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())

_CODE_BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)")
_PATH = re.compile(r"`((?:bench|deploy|docs|migrator|scripts|soak|tests)/[\w./-]*)`")


def without_code(document: Path) -> str:
    return _CODE.sub("", _CODE_BLOCK.sub("", document.read_text()))


@functools.cache
def anchors_of(document: Path) -> frozenset[str]:
    return frozenset(_anchors_in(document))


def _anchors_in(document: Path) -> Iterator[str]:
    """As code hosts make them of headings: lower case, without punctuation, spaces as hyphens, numbered when they come again."""
    seen: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} +(.+?) *$", _CODE_BLOCK.sub("", document.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        again = seen.get(anchor, 0)
        seen[anchor] = again + 1
        yield f"{anchor}-{again}" if again else anchor


@each_document
def test_every_link_leads_to_a_file_of_the_repository_and_to_a_heading_in_it(document: Path) -> None:
    for target in _LINK.findall(without_code(document)):
        if re.match(r"[a-z]+:", target):
            assert target.startswith(("https://", "mailto:")), target
            continue
        path, _, anchor = unquote(target).partition("#")
        found = (document.parent / path).resolve() if path else document
        assert not path.startswith("/"), f"{target} is absolute"
        assert found.exists(), f"{target} does not exist"
        assert found.is_relative_to(ROOT), f"{target} is outside"
        if anchor:
            assert anchor in anchors_of(found), f"{target}: no such heading"


@each_document
def test_every_path_that_is_named_exists(document: Path) -> None:
    for path in _PATH.findall(document.read_text()):
        assert (ROOT / path).exists(), path


def test_the_index_of_decisions_has_each_of_them_with_its_title_and_number() -> None:
    pages = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    titles = [page.read_text().partition("\n")[0].removeprefix("# ") for page in pages]
    for number, title in enumerate(titles, 1):
        assert title.startswith(f"{number}. "), title
    expected = [f"- [{title}]({page.name})" for title, page in zip(titles, pages, strict=True)]
    listed = [line for line in (DECISIONS / "README.md").read_text().splitlines() if line.startswith("- ")]
    assert listed == expected


@pytest.mark.parametrize("page", sorted(DECISIONS.glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_every_decision_has_its_date_and_its_status(page: Path) -> None:
    assert re.fullmatch(
        r"Date: 20\d\d-\d\d-\d\d\. Status: (accepted|superseded by \[)\S*.*\.", page.read_text().split("\n")[2]
    )
