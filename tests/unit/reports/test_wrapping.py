"""Lines fit the terminal, and what is to be pasted or read across stays whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.reports.formatting import Whole, columns_of
from migrator.reports.text.console import report_as_text
from migrator.reports.text.wrapping import joined, wrapped
from tests.browser.pages import page_of


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("short", ["short"]),
        ("one two three four five six seven eight nine ten", ["one two three four five six seven eight", "  nine ten"]),
        (
            "  cure: one two three four five six seven eight",
            ["  cure: one two three four five six", "        seven eight"],
        ),
        (
            "  1. one two three four five six seven eight nine",
            ["  1. one two three four five six seven", "     eight nine"],
        ),
        (
            "       A_SETTING=one two three four five six seven eight",
            ["       A_SETTING=one two three four five six seven eight"],
        ),
        (f"/{'path' * 20} is long", [f"/{'path' * 20}", "  is long"]),
        ("市役所 " * 8 + "end", ["市役所 市役所 市役所 市役所 市役所", "  市役所 市役所 市役所 end"]),
    ],
)
def test_a_line_in_forty_columns(line: str, parts: list[str]) -> None:
    assert list(wrapped(line, 40)) == parts


def test_without_a_width_and_for_rows_of_tables_nothing_is_broken() -> None:
    line = "word " * 40
    assert joined([line, Whole(line)], None) == f"{line}\n{line}"
    assert joined([Whole(line)], 60) == line


@given(st.lists(st.text("abc ", max_size=200), max_size=5), st.integers(40, 120))
def test_no_word_is_lost_and_no_line_too_long(lines: list[str], width: int) -> None:
    text = joined(lines, width)
    assert text.split() == " ".join(lines).split()
    words = max((len(word) for word in text.split()), default=0)
    assert all(columns_of(line.strip()) <= max(width, words + 8) for line in text.split("\n"))


@pytest.mark.parametrize(("problems", "width"), [(0, 60), (0, 80), (0, 120), (40, 80), (40, 120)])
def test_a_report_fits_the_terminal(problems: int, width: int) -> None:
    text = report_as_text(page_of(3, problems), width)
    too_long = [line for line in text.split("\n") if columns_of(line) > width and " " in line.strip()]
    assert not too_long
