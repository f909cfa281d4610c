"""The words for operators: sentences of at most 35 words, under 20 in the median, and none of the phrases that readers stumbled on."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOR_OPERATORS = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("index", "tutorial", "tour", "reference", "dialects", "security")),
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
    *sorted((ROOT / "docs" / "explanation").glob("*.md")),
]
MESSAGES = ROOT / "migrator" / "reports" / "text" / "troubleshooting.json"
LONGEST, MEDIAN = 35, 20
UNWANTED = {
    "goes on where it was": "rerun it to resume",
    "held against": "compared with",
    "stands in the way": "reports blockers",
    "in Bytes neither": "is ignored, by Bytes too",
    "stood still": "downtime so far",
    "under way at once": "concurrency, in flight",
    "found out while running": "tuned automatically",
    "past one machine": "on several machines",
    "fell short of its own goals": "missed goals are listed in",
    "what is under way is finished": "in-flight transfers complete",
    "whatever began has left a ledger": "every started run leaves a ledger",
    "rests on": "assumptions",
    "leaves the like": "also leaves empty files",
    "first see to what is listed": "fix the problems above first",
    "cannot be meant": "is invalid",
    "is no location": "unknown location",
    "read by nobody": "unknown settings, ignored",
}
"""Phrase → what to write instead."""
_BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_NO_PROSE = re.compile(r"^(?:\||#|    | *>).*$", re.MULTILINE)  # tables, headings, code, quoted output
_END = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z*`\[])")


def sentences(text: str) -> Iterator[str]:
    """The sentences of Markdown or of a message; code counts as one word."""
    text = re.sub(r"`[^`]*`", "Code", _NO_PROSE.sub("", _BLOCK.sub("", text)))
    text = re.sub(r"\]\([^)]*\)", "]", text)
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", text):
        yield from filter(None, _END.split(" ".join(paragraph.split())))


def words_of(sentence: str) -> int:
    return len(re.findall(r"\w[\w'’-]*", sentence))


def messages() -> Iterator[str]:
    for entry in json.loads(MESSAGES.read_text()).values():
        for texts in entry["texts"]:
            yield from (text for text in texts if "psql" not in text)  # that one holds a statement of SQL


@pytest.mark.parametrize("page", FOR_OPERATORS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_sentences_of_a_page_are_short(page: Path) -> None:
    found = list(sentences(page.read_text()))
    assert [one for one in found if words_of(one) > LONGEST] == []
    assert statistics.median(map(words_of, found)) < MEDIAN


def test_the_sentences_of_messages_are_short() -> None:
    found = [one for text in messages() for one in sentences(text)]
    assert [one for one in found if words_of(one) > LONGEST] == []
    assert statistics.median(map(words_of, found)) < MEDIAN


@pytest.mark.parametrize("phrase", UNWANTED)
def test_no_unwanted_phrase_comes_back(phrase: str) -> None:
    pages = {page.relative_to(ROOT).as_posix(): page.read_text() for page in FOR_OPERATORS}
    pages["messages"] = "\n".join(messages())
    for module in [*(ROOT / "migrator" / "reports").rglob("*.py"), *(ROOT / "migrator" / "cli").rglob("*.py")]:
        pages[module.relative_to(ROOT).as_posix()] = module.read_text()
    found = [name for name, text in pages.items() if phrase.lower() in " ".join(text.lower().split())]
    assert found == [], f"write: {UNWANTED[phrase]}"
