"""Samples: the same share of each organization, the same raw files for the same seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrator.checks.sample import draw, scoring, shares_of
from migrator.config.time_filter import ANY_AGE
from migrator.core.cancellation import StopFlag
from migrator.core.entities import RawFile
from tests.backends import raw_id
from tests.memory_store import MemoryStore

COUNTS = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), st.integers(0, 1000), min_size=1)


@given(COUNTS, st.integers(1, 3000))
def test_shares_add_up_and_follow_the_counts(counts: dict[str, int], size: int) -> None:
    shares = shares_of(counts, size)
    total = sum(counts.values())
    assert sum(shares.values()) == min(size, total)
    filled = [name for name in counts if counts[name]]
    for name, share in shares.items():
        assert 0 <= share <= counts[name]
        if size >= total:
            assert share == counts[name]
    if size >= len(filled):
        assert all(shares[name] for name in filled), "no organization is left out"
        rounded_up = len([name for name in filled if size * counts[name] < total])
        for name in filled:
            assert abs(shares[name] - min(size, total) * counts[name] / total) <= 1 + rounded_up


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 60), min_size=1),
    st.integers(1, 100),
    st.integers(),
)
def test_a_sample_is_what_has_the_lowest_scores(counts: dict[str, int], size: int, seed: int) -> None:
    store = MemoryStore()
    ids = {name: [raw_id(f"{number:04x}") for number in range(count)] for name, count in counts.items()}
    for name, mine in ids.items():
        store.prepare(name)
        for one in mine:
            store.save(RawFile(name, one), b"x")
    sample = draw(store, sorted(counts), ANY_AGE, size, seed, StopFlag())
    shares, score = shares_of(counts, size), scoring(seed)
    for name, mine in ids.items():
        taken = {one for one in mine if sample.takes(name)(one)}
        assert taken == set(sorted(mine, key=score)[: shares[name]])
    assert (sample.size, sample.drawn_from) == (min(size, sum(counts.values())), sum(counts.values()))


def test_another_seed_is_another_order() -> None:
    ids = [raw_id(f"{number:04x}") for number in range(50)]
    assert sorted(ids, key=scoring(1)) != sorted(ids, key=scoring(2))
    assert sorted(ids, key=scoring(1)) == sorted(ids, key=scoring(1))
