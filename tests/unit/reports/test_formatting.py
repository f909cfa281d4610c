"""Numbers and names as people read them; nothing from outside can steer a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from migrator.reports.formatting import duration, files, number, plural, shown, size, table

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HOSTILE = st.text(st.characters(), max_size=30) | st.text(
    st.sampled_from(f"a\x00\x07\x1b[31m\n\r\t\x7f\x9b\udcff\ud800{BIDI}\u2028\ufeff")
)


def is_harmless(text: str) -> bool:
    return all(
        unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in BIDI
        for character in text
    )


@pytest.mark.row(27, 76)
@given(HOSTILE)
@example("\x1b]0;title\x07")
@example(BIDI)
def test_nothing_that_is_shown_can_steer_a_terminal(name: str) -> None:
    told = shown(name)
    assert is_harmless(told)
    told.encode()
    if is_harmless(name):
        assert len(told) >= len(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemeente-éé 市 ça", "gemeente-éé 市 ça"),
        ("", ""),
        ("a\nb", r"a\x0ab"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b", r"\x9b"),
        ("\udcff", r"\udcff"),
        ("a\u202eb", r"a\u202eb"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_shown(name: str, expected: str) -> None:
    assert shown(name) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (5 * 10**12, "5.0 TB"),
        (2 * 10**18, "2,000.0 PB"),
    ],
)
def test_size(count: int, expected: str) -> None:
    assert size(count) == expected


@given(st.integers(0, 10**17))
def test_sizes_are_never_wrong_by_more_than_they_show(count: int) -> None:
    amount, unit = size(count).split()
    factor = {"byte": 1, "bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}[unit]
    step = 0.1 if "." in amount else 1
    assert abs(float(amount.replace(",", "")) * factor - count) <= 0.5001 * step * factor
    assert len(amount) <= 4 or unit == "PB"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (1.26, "1.3 s"),
        (12, "12 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (75, "1 min 15 s"),
        (3600, "1 h 0 min"),
        (7322, "2 h 2 min"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_plurals_and_numbers() -> None:
    assert (files(0), files(1), files(2000)) == ("0 files", "1 file", "2,000 files")
    assert plural(1, "bucket") == "1 bucket"
    assert number(1234567) == "1,234,567"


def test_tables_line_up_in_every_script() -> None:
    rows = [["organization", "files"], ["市役所", "1"], ["e\u0301te\u0301", "1,000"]]
    assert table(rows) == ["organization  files", "市役所            1", "e\u0301te\u0301" + " " * 11 + "1,000"]
    assert table([["a", "b", "c"], ["aa", "bb", "cc"]], left=2) == ["a   b    c", "aa  bb  cc"]
