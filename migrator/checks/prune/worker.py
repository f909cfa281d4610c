"""The loop of one worker of prune: surveys, proofs of shards and deletions of batches, as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from migrator.checks.audit.database_row import Recorded
from migrator.checks.prune.deletion import BatchDeletion
from migrator.checks.prune.deletion_manifest import ManifestOfRun
from migrator.checks.prune.ends import Ends, Remover
from migrator.checks.prune.messages import Counted, DeleteBatch, Event, ProveShard, PruneSurveyed, ShardProven, Unit
from migrator.checks.prune.proof import ProofScope, PruneProof, ShardProof
from migrator.checks.prune.tallies import Pruned
from migrator.checks.sample import AuditSample
from migrator.core.cancellation import Flag
from migrator.core.entities import Shard
from migrator.core.errors import MigratorError
from migrator.sync.messages import Survey, UnitEnded
from migrator.sync.worker import Units, unexpected

ASKED = 20
"""Raw files that a running Bytes is asked for at once."""
_SEND_AFTER_FILES = 500
_SEND_AFTER_SECONDS = 0.5
_READERS = 8


class PruneWorker:
    """Used by one thread. An error ends the run: `halt` is set, and each unit that was taken is told to have ended."""

    def __init__(
        self,
        ends: Ends,
        scope: ProofScope,
        *,
        remover: Callable[[], Remover],
        manifest: ManifestOfRun | None,
        samples: bool,
        halt: Flag,
        send: Callable[[Event], None],
    ) -> None:
        """`remover` opens the source for deleting, once something is to go. `samples`: a running Bytes will be asked for some."""
        self._ends, self._scope, self._manifest, self._samples = ends, scope, manifest, samples
        self._open_remover, self._halt, self._send = remover, halt, send
        self._deletion: BatchDeletion | None = None
        self._taken = 0
        self._sent_at = time.monotonic()

    def run(self, units: Units[Unit], first: Unit | None = None) -> None:
        """Work until there are no more units."""
        try:
            with _readers() as pool:
                proof = PruneProof(self._ends, self._scope, pool, self._halt)
                unit = first or units.take(wait=True)
                while unit is not None:
                    self._taken += 1
                    if isinstance(unit, DeleteBatch):
                        self._delete(unit, pool)
                    else:
                        self._prove(unit, units, proof)
                    unit = units.take(wait=True)
        except MigratorError as error:
            break_off(error, self._taken, units, self._halt, self._send)
        except Exception as error:
            break_off(unexpected(error), self._taken, units, self._halt, self._send)

    def _end_unit(self) -> None:
        self._taken -= 1
        self._send(UnitEnded())

    def _prove(self, first: Survey | ProveShard, units: Units[Unit], proof: PruneProof) -> None:
        """Prove a shard, and those that can be had without waiting behind it; surveys are done on the way."""
        for proven in proof.run(self._shards(first, units, proof)):
            if proven.is_whole or self._is_due(proven):
                self._sent_at = time.monotonic()
                pruned, files = proven.take()
                self._send(Counted(pruned=pruned, proven=files))
            if proven.is_whole:
                sheet = self._manifest.write(proven.shard, proven.rows) if self._manifest is not None else ""
                self._send(ShardProven(shard=proven.shard, sheet=sheet, sample=self._sample_of(proven)))
                self._end_unit()

    def _shards(self, first: Survey | ProveShard, units: Units[Unit], proof: PruneProof) -> Iterator[Shard]:
        unit: Unit | None = first
        while unit is not None:
            if isinstance(unit, ProveShard):
                yield unit.shard
            elif isinstance(unit, Survey):
                length, pruned = proof.shard_length(unit.organization)
                self._send(Counted(pruned=pruned))
                self._send(PruneSurveyed(unit.organization, length))
                self._end_unit()
            unit = units.take(wait=False)
            self._taken += unit is not None

    def _is_due(self, proven: ShardProof) -> bool:
        return proven.files >= _SEND_AFTER_FILES or time.monotonic() - self._sent_at > _SEND_AFTER_SECONDS

    def _sample_of(self, proven: ShardProof) -> list[Recorded]:
        if not self._samples:
            return []
        sample = AuditSample(ASKED, 0)
        for row in proven.rows:
            sample.offer(Recorded(*row.raw_file))
        return sample.rows()

    def _delete(self, unit: DeleteBatch, pool: ThreadPoolExecutor) -> None:
        if self._deletion is None:
            self._deletion = BatchDeletion(self._ends, self._open_remover(), pool)
        counts = Pruned()
        try:
            self._deletion.delete(unit.rows, counts)
        finally:
            deleted = counts.overall().deleted.files
            self._send(Counted(pruned=counts, deleted=deleted))
        self._end_unit()


def break_off(error: MigratorError, taken: int, units: Units[Unit], halt: Flag, send: Callable[[Event], None]) -> None:
    """Tell that the run is over, and that all units that were taken, or are taken from here on, have ended."""
    halt.set()
    for _ in range(taken):
        send(UnitEnded(error))
    while units.take(wait=True) is not None:
        send(UnitEnded(error))


@contextmanager
def _readers() -> Iterator[ThreadPoolExecutor]:
    """Threads that read; what none of them has begun with is not begun any more once an error ends it."""
    pool = ThreadPoolExecutor(_READERS, thread_name_prefix="prove")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
