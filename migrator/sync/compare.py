"""Two ascending scans → pairs. Pure: a linear merge, no set of names, no sort."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from migrator.core.entities import Entry, Pair, RawId
from migrator.core.errors import MustStop
from migrator.core.outcomes import Verdict


class _HasRawId(Protocol):
    @property
    def raw_id(self) -> RawId: ...


Named = TypeVar("Named", bound=_HasRawId)


def compare(source: Iterable[Entry], target: Iterable[Entry]) -> Iterator[Pair]:
    """Merge two scans into pairs, ascending by raw id.

    Raises MustStop when a scan is out of order or names a raw file twice: guessing would make files "missing".
    """
    left, right = ascending(source, "source"), ascending(target, "target")
    here, there = next(left, None), next(right, None)
    while here is not None and there is not None:
        if here.raw_id == there.raw_id:
            yield Pair(here.raw_id, here, there)
            here, there = next(left, None), next(right, None)
        elif here.raw_id < there.raw_id:
            yield Pair(here.raw_id, here, None)
            here = next(left, None)
        else:
            yield Pair(there.raw_id, None, there)
            there = next(right, None)
    while here is not None:
        yield Pair(here.raw_id, here, None)
        here = next(left, None)
    while there is not None:
        yield Pair(there.raw_id, None, there)
        there = next(right, None)


def verdict_of(pair: Pair) -> Verdict:
    """How the pair compares by size alone; equal sizes are no proof of equal content."""
    _, source, target = pair
    if source is None:
        return Verdict.TARGET_ONLY
    if target is None:
        return Verdict.SOURCE_ONLY
    return Verdict.SAME_SIZE if source.size == target.size else Verdict.DIFFERS


def ascending(scan: Iterable[Named], role: str) -> Iterator[Named]:
    """Yield the same entries or rows, checking their order; `role` is whose listing it is, for the message.

    Raises:
        MustStop: If one does not come after the one before.
    """
    last = ""
    for entry in scan:
        if entry.raw_id <= last:
            raise MustStop(
                "listing-out-of-order",
                f"The {role}'s listing is out of order: {entry.raw_id} came after {last}.",
                why="Comparing it would call existing files missing.",
                cure="Nothing was decided from it. Rerun; if it stays, the server's listing is broken.",
            )
        last = entry.raw_id
        yield entry
