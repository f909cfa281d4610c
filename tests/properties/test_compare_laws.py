"""Laws of the comparison: the merge tells what sets would tell, in order, and a broken listing is never believed."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from migrator.core.entities import Entry, Pair
from migrator.core.errors import MustStop
from migrator.core.outcomes import Verdict
from migrator.sync.compare import compare, verdict_of
from tests import strategies

Scans = tuple[list[Entry], list[Entry]]


def by_sets(source: list[Entry], target: list[Entry]) -> list[Pair]:
    here, there = ({entry.raw_id: entry for entry in scan} for scan in (source, target))
    return [Pair(raw_id, here.get(raw_id), there.get(raw_id)) for raw_id in sorted(here.keys() | there.keys())]


@given(strategies.two_scans())
def test_the_merge_equals_the_comparison_of_sets(scans: Scans) -> None:
    source, target = scans
    assert list(compare(iter(source), iter(target))) == by_sets(source, target)


@given(strategies.two_scans())
def test_the_other_direction_is_the_mirror_image(scans: Scans) -> None:
    source, target = scans
    mirrored = [Pair(pair.raw_id, pair.target, pair.source) for pair in compare(target, source)]
    assert list(compare(source, target)) == mirrored


@given(strategies.entries())
def test_a_scan_is_the_same_as_itself_and_all_new_to_nothing(scan: list[Entry]) -> None:
    assert {verdict_of(pair) for pair in compare(scan, scan)} <= {Verdict.SAME_SIZE}
    assert [verdict_of(pair) for pair in compare(scan, [])] == [Verdict.SOURCE_ONLY] * len(scan)
    assert [verdict_of(pair) for pair in compare([], scan)] == [Verdict.TARGET_ONLY] * len(scan)


@given(strategies.two_scans(), st.randoms(use_true_random=False), st.booleans())
def test_out_of_order_input_raises(scans: Scans, random: object, at_source: bool) -> None:
    broken = list(scans[0] if at_source else scans[1])
    random.shuffle(broken)  # type: ignore[attr-defined]
    assume(broken != sorted(broken))
    source, target = (broken, scans[1]) if at_source else (scans[0], broken)
    with pytest.raises(MustStop, match="source" if at_source else "target"):
        list(compare(source, target))


@given(strategies.two_scans(), st.data(), st.booleans())
def test_a_raw_file_listed_twice_raises(scans: Scans, data: st.DataObject, at_source: bool) -> None:
    broken = list(scans[0] if at_source else scans[1])
    assume(broken)
    place = data.draw(st.integers(0, len(broken) - 1))
    broken.insert(place, broken[place])
    source, target = (broken, scans[1]) if at_source else (scans[0], broken)
    with pytest.raises(MustStop):
        list(compare(source, target))


@given(strategies.two_scans())
def test_pairs_before_a_broken_place_are_still_right(scans: Scans) -> None:
    """Work that was done before the listing broke was no mistake."""
    source, target = scans
    assume(len(source) > 1)
    told: list[Pair] = []
    with pytest.raises(MustStop):
        told.extend(compare([*source, source[0]], target))
    assert told == by_sets(source, target)[: len(told)]
