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

    Raises MustStop when a scan is out of order or names a raw file twice: guessing would make files "missing". Then the pairs do not ascend
    either, and the scan that gave the lower raw id is the broken one.
    """  # noqa: DOC501 made by _out_of_order
    left, right = iter(source), iter(target)
    here, there = next(left, None), next(right, None)
    last = ""
    while True:
        if here is not None and (there is None or here.raw_id < there.raw_id):
            pair = Pair(here.raw_id, here, None)
        elif there is not None and (here is None or there.raw_id < here.raw_id):
            pair = Pair(there.raw_id, None, there)
        elif here is not None:
            pair = Pair(here.raw_id, here, there)
        else:
            return
        if pair.raw_id <= last:
            raise _out_of_order("target" if pair.source is None else "source", last, pair.raw_id)
        last = pair.raw_id
        yield pair
        if pair.source is not None:
            here = next(left, None)
        if pair.target is not None:
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
    """  # noqa: DOC501 made by _out_of_order
    last = ""
    for entry in scan:
        if entry.raw_id <= last:
            raise _out_of_order(role, last, entry.raw_id)
        last = entry.raw_id
        yield entry


def _out_of_order(role: str, last: str, raw_id: str) -> MustStop:
    return MustStop(
        "listing-out-of-order",
        f"The {role}'s listing is out of order: {raw_id} came after {last}.",
        why="Comparing it would call existing files missing.",
        cure="Nothing was decided from it. Rerun; if it stays, the server's listing is broken.",
    )
