"""Two scans and the expected signs, a row each.

A letter is a raw file, a digit after it its size (0 if there is none): ``ab2`` are two raw files, the second of size 2.
"""

import itertools

import pytest

from migrator.core.entities import Entry, Pair, RawId
from migrator.core.errors import MustStop
from migrator.core.outcomes import Verdict
from migrator.sync.compare import ascending, compare, verdict_of


def scan(letters: str) -> list[Entry]:
    found: list[Entry] = []
    for letter in letters:
        if letter.isdigit():
            found[-1] = found[-1]._replace(size=int(letter))
        else:
            found.append(Entry(RawId(letter), 0))
    return found


def signs(source: str, target: str) -> str:
    return "".join(f"{verdict_of(pair).value}{pair.raw_id}" for pair in compare(scan(source), scan(target)))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("", "", ""),
        ("a", "", "+a"),
        ("", "a", "-a"),
        ("a", "a", "=a"),
        ("a1", "a2", "*a"),
        ("a1", "a1", "=a"),
        ("a", "b", "+a-b"),
        ("b", "a", "-a+b"),
        ("abc", "abc", "=a=b=c"),
        ("abc", "b", "+a=b+c"),
        ("b", "abc", "-a=b-c"),
        ("ace", "bdf", "+a-b+c-d+e-f"),
        ("abc", "xyz", "+a+b+c-x-y-z"),
        ("xyz", "abc", "-a-b-c+x+y+z"),
        ("a1b2c3", "a1b1d4", "=a*b+c-d"),
        ("abcdef", "f", "+a+b+c+d+e=f"),
        ("f", "abcdef", "-a-b-c-d-e=f"),
    ],
)
def test_signs(source: str, target: str, expected: str) -> None:
    assert signs(source, target) == expected


@pytest.mark.parametrize(
    ("source", "target", "role", "before"),
    [
        ("ba", "", "source", "+b"),
        ("", "ba", "target", "-b"),
        ("aa", "", "source", "+a"),
        ("", "aa", "target", "-a"),
        ("aca", "abc", "source", "=a-b=c"),
        ("abc", "acb", "target", "=a+b=c"),
    ],
)
def test_a_listing_out_of_order_stops(source: str, target: str, role: str, before: str) -> None:
    told: list[str] = []
    with pytest.raises(MustStop, match=f"The {role}'s listing is out of order") as caught:
        told.extend(f"{verdict_of(pair).value}{pair.raw_id}" for pair in compare(scan(source), scan(target)))
    assert caught.value.name == "listing-out-of-order"
    assert before.startswith("".join(told))


def test_entries_are_handed_on_as_they_were_listed() -> None:
    here, there = Entry(RawId("a"), 1, None, 5, 6), Entry(RawId("a"), 1, "etag", 7, 7)
    assert list(compare([here], [there])) == [Pair(RawId("a"), here, there)]


def test_streams_are_read_no_further_than_needed() -> None:
    """Constant memory: millions of entries pass through, none is kept."""
    endless = (Entry(RawId(f"{number:036d}"), 0) for number in itertools.count(1))
    pairs = compare(endless, [])
    assert [pair.raw_id for pair in itertools.islice(pairs, 3)] == [f"{number:036d}" for number in (1, 2, 3)]
    assert next(endless).raw_id == f"{4:036d}"


def test_equal_sizes_are_same_size_whatever_times_and_etags_say() -> None:
    pair = Pair(RawId("a"), Entry(RawId("a"), 3, "x", 1), Entry(RawId("a"), 3, "y", 2))
    assert verdict_of(pair) is Verdict.SAME_SIZE


def test_a_listing_out_of_order_is_told_with_why_and_cure() -> None:
    with pytest.raises(MustStop) as caught:
        list(ascending([Entry(RawId("b"), 1), Entry(RawId("a"), 1)], "source"))
    assert caught.value.what == "The source's listing is out of order: a came after b."
    assert caught.value.why == "Comparing it would call existing files missing."
    assert caught.value.cure == "Nothing was decided from it. Rerun; if it stays, the server's listing is broken."
