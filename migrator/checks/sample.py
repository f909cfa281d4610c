"""Samples: of the source's raw files, the same share of each organization, and of a stream of rows. The same for the same seed.

Raw files are ordered by a hash of their ids under the seed, and the first ones of each organization are taken: whoever has not the seed
cannot say beforehand which. Memory grows with the sample, some 50 bytes for each raw file in it, and not with what there is.
"""

from __future__ import annotations

import hashlib
import heapq
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from migrator.checks.audit.database_row import Recorded
from migrator.config.time_filter import Ages
from migrator.core.cancellation import Flag
from migrator.core.entities import RawId, Shard
from migrator.core.notices import ignore_notice
from migrator.core.protocols import Source
from migrator.sync.shard.listing import admitted

_ALL = (1 << 64) - 1
_NONE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySample:
    """Which raw files are taken: those whose score is not above their organization's. `drawn_from` is how many there were."""

    seed: int
    size: int
    drawn_from: int
    scores: Mapping[str, int]

    def takes(self, organization: str) -> Callable[[RawId], bool]:
        """Whether a raw file of that organization is in the sample."""
        score, last = scoring(self.seed), self.scores.get(organization, _NONE)
        return lambda raw_id: score(raw_id) <= last


def scoring(seed: int) -> Callable[[str], int]:
    """A number below 2^64 for each raw id, another order for each seed."""
    start = hashlib.blake2b(digest_size=8, key=hashlib.sha256(str(seed).encode()).digest())

    def score(raw_id: str) -> int:
        digest = start.copy()
        digest.update(raw_id.encode())
        return int.from_bytes(digest.digest(), "big")

    return score


def draw(
    source: Source, organizations: Sequence[str], ages: Ages, size: int, seed: int, stopping: Flag
) -> VerifySample:
    """List the source once, and choose. Raises StoreError where a listing fails."""
    counts: dict[str, int] = {}
    lowest: dict[str, array[int]] = {}
    for organization in organizations:
        counts[organization], lowest[organization] = _lowest(source, organization, ages, size, seed, stopping)
        total = sum(counts.values())
        for name, kept in lowest.items():  # no share gets larger by what comes later
            del kept[size * counts[name] // max(1, total) + 2 :]
    shares = shares_of(counts, size)
    scores = {name: _last(lowest[name], counts[name], share) for name, share in shares.items()}
    return VerifySample(seed=seed, size=sum(shares.values()), drawn_from=sum(counts.values()), scores=scores)


def shares_of(counts: Mapping[str, int], size: int) -> dict[str, int]:
    """How many of each: in proportion, `size` together, and none without any as long as there are enough for all."""
    total = sum(counts.values())
    if size >= total:
        return dict(counts)
    shares = {name: size * count // total for name, count in counts.items()}
    by_rest = sorted(counts, key=lambda name: (-(size * counts[name] % total), name))
    for name in by_rest[: size - sum(shares.values())]:
        shares[name] += 1
    without = [name for name in sorted(counts) if counts[name] and not shares[name]]
    if size >= sum(1 for count in counts.values() if count):
        for name in without:
            richest = max(shares, key=lambda other: (shares[other], other))
            shares[richest] -= 1
            shares[name] = 1
    return shares


def _lowest(
    source: Source, organization: str, ages: Ages, size: int, seed: int, stopping: Flag
) -> tuple[int, array[int]]:
    """How many raw files the organization has, and the lowest `size` scores, ascending."""
    score, count = scoring(seed), 0
    heap: list[int] = []
    for entry in admitted(source.scan(Shard(organization), ignore_notice), ages):
        count += 1
        value = -score(entry.raw_id)
        if len(heap) < size:
            heapq.heappush(heap, value)
        elif value > heap[0]:
            heapq.heapreplace(heap, value)
        if stopping.is_set():
            break
    return count, array("Q", sorted(-value for value in heap))


def _last(lowest: array[int], count: int, share: int) -> int:
    if share >= count:
        return _ALL
    return lowest[share - 1] if share else _NONE


class AuditSample:
    """So many rows of a stream of unknown length, the same ones for the same seed and rows, each as likely as any other."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._key = str(seed).encode()[:64]
        self._kept: list[tuple[int, str, Recorded]] = []

    def offer(self, row: Recorded) -> None:
        """Keep the row if its keyed digest is among the smallest: a sample that every pass draws alike."""
        name = f"{row.organization}/{row.raw_id}"
        drawn = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), key=self._key, digest_size=8).digest()
        rank = -int.from_bytes(drawn, "big")
        if len(self._kept) < self._size:
            heapq.heappush(self._kept, (rank, name, row))
        elif rank > self._kept[0][0]:
            heapq.heapreplace(self._kept, (rank, name, row))

    def rows(self) -> list[Recorded]:
        """The sample, ascending."""
        return sorted(row for _, _, row in self._kept)
