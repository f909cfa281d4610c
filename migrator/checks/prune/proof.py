"""The first proof: goes through shards, counts what could go and what is kept, and gathers the rows of the manifest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from migrator.checks.content_proof import BOTH_HASHES, Hashes, Proof, both_at_once, prove_content
from migrator.checks.manifest_writer import ManifestRow
from migrator.checks.proofs_in_order import ProofsInOrder
from migrator.checks.prune.ends import Ends, Folders
from migrator.checks.prune.tallies import Pruned
from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.cancellation import Flag
from migrator.core.entities import Digests, Entry, Pair, RawFile, Shard
from migrator.core.equality import ProofKind
from migrator.core.errors import Interrupted, StoreError
from migrator.core.notices import Denial, Notice, NoticeKind, Problem, ignore_notice
from migrator.core.size_thresholds import SMALL_UP_TO
from migrator.sync.compare import compare
from migrator.sync.shard.deciding import NO_VALID_NAME, NOT_AT_TARGET
from migrator.sync.shard.listing import admitted


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofScope:
    """Which raw files could go: those of these ages, and of organizations that are neither `refused` nor `denied`.

    `denied`: organizations whose bucket at the target refuses, so that all of them is kept.
    """

    ages: Ages = ANY_AGE
    refused: frozenset[str] = frozenset()
    denied: Mapping[str, Denial] = field(default_factory=dict)

    def is_open(self, organization: str) -> bool:
        """Return True if raw files of this organization could go."""
        return organization not in self.refused and organization not in self.denied


class ShardProof:
    """What the first proof found in one shard. `counts` is taken and begun anew by whoever reports it; `rows` are of the manifest."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.counts = Pruned()
        self.files = 0
        self.rows: list[ManifestRow] = []
        self.is_whole = False

    def take(self) -> tuple[Pruned, int]:
        """Return counts and number of files since the last call."""
        taken, self.counts, self.files = (self.counts, self.files), Pruned(), 0
        return taken

    def note(self, notice: Notice) -> None:
        """Count a stray, or a folder that cannot be read."""
        if notice.kind is NoticeKind.STRAY:
            self.counts.strays += 1
        if notice.kind is NoticeKind.UNREADABLE_FOLDER:
            self.counts.note(Problem(notice.kind.value, notice.organization, notice.where, notice.reason))


class PruneProof:
    """Proves shards, one behind the other; the first requests of a shard are sent while the last answers of the one before come."""

    def __init__(self, ends: Ends, scope: ProofScope, pool: ThreadPoolExecutor, stopping: Flag) -> None:
        """`pool` has the threads that prove what the lane does not."""
        self._ends = ends
        self._scope = scope
        self._stopping = stopping
        self._folders = Folders(ends)
        self._proofs: ProofsInOrder[tuple[ShardProof, Pair | None], Digests | str] = ProofsInOrder(
            ends.lane,
            pool,
            ends_of=self._ends_of,
            at_once=self._proven_at_once,
            taken=lambda one, result: result.digests,
            slowly=self._prove,
        )

    def shard_length(self, organization: str) -> tuple[int, Pruned]:
        """Return how long the prefixes of an organization's shards are, and what lies beside them. Raises StoreError."""
        beside = ShardProof(Shard(organization))
        length = self._ends.source.shard_length(organization)
        if length:
            self._ends.source.scan_strays(organization, beside.note, length=length)
        return length, beside.counts

    def run(self, shards: Iterable[Shard]) -> Iterator[ShardProof]:
        """Yield, after each raw file, what is known of its shard, the last time with `is_whole`.

        Raises:
            MigratorError: If it is asked to stop, an end cannot be listed, or both are one place.
        """
        for (proven, pair), future in self._proofs.run(self._pairs_of(shards)):
            if pair is None:
                proven.is_whole = True
            elif pair.source is not None:
                raw_file = RawFile(proven.shard.organization, pair.raw_id)
                if pair.target is not None and self._folders.is_new(raw_file):
                    self._folders.refuse_one(raw_file)
                self._count(proven, raw_file, pair.source, pair, future)
            yield proven

    def _pairs_of(self, shards: Iterable[Shard]) -> Iterator[tuple[ShardProof, Pair | None]]:
        """Yield the pairs of each shard, and None behind them."""
        for shard in shards:
            proven = ShardProof(shard)
            source = self._ends.source.scan(shard, proven.note)
            for pair in compare(self._of_age(proven, source), self._target_entries(shard)):
                if pair.source is not None:
                    yield proven, pair
            yield proven, None

    def _ends_of(self, one: tuple[ShardProof, Pair | None]) -> tuple[RawFile, Entry, Entry] | None:
        """What is to be read; None where listings alone say that there is no proof.

        Raises:
            Interrupted: If the run is asked to stop.
        """
        proven, pair = one
        if self._stopping.is_set():
            raise Interrupted("interrupted", "The run was asked to stop.")
        organization = proven.shard.organization
        if pair is None or pair.source is None or pair.target is None or not self._scope.is_open(organization):
            return None
        return RawFile(organization, pair.raw_id), pair.source, pair.target

    def _of_age(self, proven: ShardProof, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Yield the entries that the age options mean. One without a date is kept, and counted: nothing says that it is old enough."""
        if not self._scope.ages:
            yield from entries
            return
        for entry in admitted(entries, self._scope.ages):
            if entry.is_undated:
                proven.counts.undated += 1
            else:
                yield entry

    def _target_entries(self, shard: Shard) -> Iterable[Entry]:
        if not self._scope.is_open(shard.organization) or self._ends.target.is_empty(shard.organization):
            return ()
        return self._ends.target.scan(shard, ignore_notice)

    def _proven_at_once(self, one: tuple[ShardProof, Pair | None]) -> Digests | None:
        proven, pair = one
        if pair is None or pair.source is None or pair.target is None or pair.source.size != pair.target.size:
            return None
        raw_file = RawFile(proven.shard.organization, pair.raw_id)
        found = proof_at_once(self._ends, raw_file, pair.source.size, BOTH_HASHES)
        return found[0] if found is not None else None

    def _prove(self, one: tuple[ShardProof, Pair | None]) -> Digests | str:
        """Return the digests of what is at both ends, or why it is not proven to be equal.

        Raises:
            Interrupted: If the run is asked to stop.
        """
        proven, pair = one
        if pair is None or pair.source is None or pair.target is None:
            return NOT_AT_TARGET
        try:
            found = proof_of(self._ends, RawFile(proven.shard.organization, pair.raw_id), pair.source, pair.target)
        except Interrupted:
            raise
        except StoreError as error:
            return error.what
        return found[0] if not isinstance(found, str) else found

    def _count(
        self, proven: ShardProof, raw_file: RawFile, source: Entry, pair: Pair, future: Future[Digests | str] | None
    ) -> None:
        tally = proven.counts.of(raw_file.organization)
        tally.discovered.add(source.size)
        proven.files += 1
        where = self._ends.source.describe(raw_file)
        if future is None:
            proven.counts.keep(raw_file, source, *self._why_closed(raw_file.organization, pair, where))
            return
        found = future.result()
        if isinstance(found, str):
            proven.counts.keep(raw_file, source, "unproven", where, found)
            return
        tally.deletable.add(source.size)
        proven.rows.append(
            ManifestRow(raw_file, found, self._ends.target.describe(raw_file), time.time(), ProofKind.BOTH_READ.value)
        )

    def _why_closed(self, organization: str, pair: Pair, where: str) -> tuple[str, str, str]:
        """Kind, place and reason of a raw file that nothing had to be read of."""
        if organization in self._scope.refused:
            return "refused", where, NO_VALID_NAME
        if organization in self._scope.denied:
            return "refused", where, self._scope.denied[organization].reason
        return ("refused", where, NO_VALID_NAME) if pair.target is not None else ("missing", where, NOT_AT_TARGET)


def proof_of(
    ends: Ends, raw_file: RawFile, source: Entry, target: Entry, hashes: Hashes = BOTH_HASHES
) -> tuple[Digests, Entry] | str:
    """Read both ends in full, now: the digests and the source as it was read, or why they are no proof. Raises StoreError."""
    if source.size != target.size:
        return "the target holds another size under this name"
    proof = prove_content(raw_file, ends.source, source, ends.target, target, hashes=hashes)
    return _found(proof) or proof.reason or "the contents could not be proven to be equal"


def proof_at_once(ends: Ends, raw_file: RawFile, size: int, hashes: Hashes) -> tuple[Digests, Entry] | None:
    """A small raw file, read at both ends in one go; None for all that is not surely equal."""
    if ends.near_source is None or ends.near_target is None or not 0 < size <= SMALL_UP_TO:
        return None
    with suppress(StoreError):  # the careful way finds out what is wrong
        return _found(both_at_once(raw_file, ends.near_source, ends.near_target, hashes))
    return None


def _found(proof: Proof | None) -> tuple[Digests, Entry] | None:
    """The digests and the source as it was read, where it is a proof."""
    if proof is None or not proof.is_proven or proof.digests is None or proof.entry is None:
        return None
    return proof.digests, proof.entry
