"""The sink that copies: each raw file goes by the bulk lane if it can, by the careful lane if it must, and counts once it is durable."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Protocol

from migrator.core.errors import AlreadyThere, Interrupted, MigratorError, StoreError
from migrator.core.outcomes import Outcome, Step
from migrator.core.protocols import SinkAnswer, Target
from migrator.transfer.file_copier import FileCopier, Stored

BATCH_FILES = 1_000
BATCH_BYTES = 256 << 20
BATCH_SECONDS = 1.0
_WAIT = 0.05
_SHORT_WAIT = 0.005


class FastLane(Protocol):
    """Carries small raw files that go right, many at once in one thread; declines the rest, which then go by the careful lane."""

    under_way: int

    @property
    def has_room(self) -> bool:
        """Return True if another raw file may be submitted now."""
        ...

    def submit(self, ticket: object, organization: str, step: Step) -> bool:
        """Begin with a raw file; `ticket` comes back with its answer. False for one that is not for this lane: nothing was begun."""
        ...

    def carried(self, timeout: float) -> Sequence[Stored | SinkAnswer | tuple[object, str, Step]]:
        """What has ended: content that arrived, an outcome, or ticket, organization and step of a raw file that was declined."""
        ...

    def close(self) -> None:
        """Give up what is in flight and close connections."""
        ...


class BatchSink:
    """Copies what is missing, and publishes in batches: one durable write for many raw files."""

    def __init__(self, target: Target, careful: FileCopier, bulk: FastLane | None) -> None:
        self._target = target
        self._careful = careful
        self._bulk = bulk
        self._batch: list[Stored] = []
        self._batch_bytes = 0
        self._batch_began = 0.0
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._publishing: Future[list[tuple[Stored, StoreError | None]]] | None = None

    @property
    def has_room(self) -> bool:
        """Return True if both lanes take another step now."""
        return self._careful.has_room and (self._bulk is None or self._bulk.has_room)

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        """Give the step to the small-object lane if that takes it, else to the file copier."""
        is_closed = organization in self._careful.closed
        if self._bulk is None or is_closed or not self._bulk.submit(ticket, organization, step):
            self._careful.submit(ticket, organization, step)

    def answers(self, *, flush: bool) -> Iterator[SinkAnswer]:
        """Yield finished steps; what was stored counts only after its batch is published."""
        if self._publishing is not None and self._publishing.done():
            yield from self._published()
        carried_fast = self._carried_fast()
        wait = 0 if self._bulk is not None and self._bulk.under_way else _WAIT
        for carried in chain(carried_fast, self._careful.carried(wait)):
            if isinstance(carried, SinkAnswer):
                yield carried
                continue
            if not self._batch:
                self._batch_began = time.monotonic()
            self._batch.append(carried)
            self._batch_bytes += carried.result.entry.size
            if len(self._batch) >= BATCH_FILES or self._batch_bytes >= BATCH_BYTES:
                yield from self._publish()
        is_idle = not self._careful.under_way and not (self._bulk is not None and self._bulk.under_way)
        if self._batch and ((flush and is_idle) or time.monotonic() - self._batch_began > BATCH_SECONDS):
            yield from self._publish()
        if flush and is_idle:
            yield from self._published()

    def moved(self) -> Iterator[tuple[object, int]]:
        """Yield how far large files have come."""
        yield from self._careful.moved()

    def close(self) -> None:
        """Publish nothing more, and close both lanes."""
        self._publisher.shutdown()
        self._careful.close()
        if self._bulk is not None:
            self._bulk.close()

    def _carried_fast(self) -> list[Stored | SinkAnswer]:
        """What the small-object lane carried; what it declined goes to the file copier."""
        if self._bulk is None:
            return []
        found: list[Stored | SinkAnswer] = []
        for carried in self._bulk.carried(_SHORT_WAIT if self._careful.under_way else _WAIT):
            if isinstance(carried, (Stored, SinkAnswer)):
                found.append(carried)
            else:
                self._careful.submit(*carried)
        return found

    def _publish(self) -> Iterator[SinkAnswer]:
        """Begin to publish what was gathered, once the batch before is published: it waits for a disk, and nothing else has to."""
        yield from self._published()
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._publishing = self._publisher.submit(self._publish_now, batch)

    def _publish_now(self, batch: Sequence[Stored]) -> list[tuple[Stored, StoreError | None]]:
        waiting = {stored.raw_file: stored for stored in batch}
        receipts = [(stored.raw_file, stored.receipt) for stored in batch]
        return [(waiting[raw_file], error) for raw_file, error in self._target.publish(receipts)]

    def _published(self) -> Iterator[SinkAnswer]:
        """The answers for the batch that is being published, when it is."""
        publishing, self._publishing = self._publishing, None
        for stored, error in publishing.result() if publishing is not None else ():
            if error is None:
                yield SinkAnswer(stored.ticket, stored.result._replace(version=stored.receipt.version))
            else:
                yield self._kept_back(stored, error)

    def _kept_back(self, stored: Stored, error: StoreError) -> SinkAnswer:
        if not isinstance(error, AlreadyThere):
            return self._careful.boundary.failed(stored.ticket, stored.raw_file, stored.result.entry, error)
        try:
            return SinkAnswer(stored.ticket, self._careful.resolve_existing(stored.raw_file, stored.result))
        except MigratorError as fault:
            return _untold(stored, fault)


def _untold(stored: Stored, fault: MigratorError) -> SinkAnswer:
    """The name was taken, and what holds it could not be looked at."""
    result = stored.result
    if isinstance(fault, StoreError) and not isinstance(fault, Interrupted):
        failed = result._replace(
            outcome=Outcome.FAILED, reason=fault.what, code=fault.name, request_id=fault.request_id
        )
        return SinkAnswer(stored.ticket, failed)
    pending = result._replace(outcome=Outcome.PENDING, reason=fault.what)
    return SinkAnswer(stored.ticket, pending, None if isinstance(fault, Interrupted) else fault)
