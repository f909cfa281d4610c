"""The counter's total: scanned where nothing is known, taken from an earlier run where that has counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from migrator.core.entities import Entry, RawId, Shard
from migrator.core.notices import Notify
from migrator.core.tally import Count
from migrator.sync.source_counter import SourceCounter


class Scanned:
    """A source that takes down which organizations were scanned."""

    def __init__(self, sizes: dict[str, list[int]]) -> None:
        self._sizes = sizes
        self.scanned: list[str] = []
        self.was_scanned = threading.Event()

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        self.scanned.append(shard.organization)
        self.was_scanned.set()
        for number, size in enumerate(self._sizes[shard.organization]):
            yield Entry(RawId(f"{number:08x}-0000-4000-8000-000000000000"), size)


def counter_of(source: Scanned, known: dict[str, Count]) -> SourceCounter:
    return SourceCounter(source, ["acme", "beta"], known=known)  # type: ignore[arg-type]


def test_what_is_not_known_is_scanned() -> None:
    source = Scanned({"acme": [1, 2], "beta": [4]})
    with counter_of(source, {}) as ahead:
        ahead.finish(60)
    assert (ahead.total, ahead.is_final, source.scanned) == (Count(3, 7), True, ["acme", "beta"])


def test_what_an_earlier_run_counted_is_not_walked_through_beside_the_pass() -> None:
    source = Scanned({"acme": [1, 2], "beta": [4]})
    with counter_of(source, {"acme": Count(2, 3), "beta": Count(9, 90)}) as ahead:
        ahead.has_met(11)
        assert (ahead.total, ahead.is_final) == (Count(11, 93), False)
    assert source.scanned == []


def test_a_stopped_run_counts_it_anew_to_say_what_is_left() -> None:
    source = Scanned({"acme": [1, 2], "beta": [4]})
    with counter_of(source, {"acme": Count(9, 90)}) as ahead:
        ahead.finish(60)
    assert (ahead.total, ahead.is_final) == (Count(3, 7), True)
    assert ahead.by_organization == {"acme": Count(2, 3), "beta": Count(1, 4)}


def test_a_pass_that_met_more_than_was_known_has_it_counted_anew() -> None:
    source = Scanned({"acme": [1] * 20, "beta": []})
    with counter_of(source, {"acme": Count(5, 5), "beta": Count(0, 0)}) as ahead:
        ahead.has_met(6)
        assert source.was_scanned.wait(60)
