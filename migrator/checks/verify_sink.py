"""The sink of `verify`: steps with both ends → proven, unproven, conflict, missing or failed."""

from __future__ import annotations

import queue
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from migrator.checks.content_proof import Proof
from migrator.checks.prover import Proves
from migrator.core.entities import Entry, RawFile
from migrator.core.outcomes import Outcome, Result, Step
from migrator.core.protocols import SinkAnswer, Source
from migrator.sync.shard.deciding import NOT_AT_TARGET
from migrator.transfer.batch_sink import FastLane
from migrator.transfer.file_copier import FileBoundary, Stored, refuse_listed
from migrator.transfer.large_file_progress import Meter
from migrator.transfer.retry import RetryPolicy

_AT_ONCE_ANSWERS = 512
_WAIT = 0.05
_SHORT_WAIT = 0.005
SAMPLED = 100
"""Raw files of an organization, in each worker, that are looked at where proofs would rest on a listing alone."""


class Prove:
    """The sink of `verify`: small raw files on disk are proven as they come, those on S3 by the fast lane, all others in `jobs` threads."""

    def __init__(
        self,
        prover: Proves,
        *,
        jobs: int,
        patience: RetryPolicy,
        listed_target: Source | None = None,
        fast: FastLane | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Begin; of `listed_target`, whose listing alone would be believed, `SAMPLED` raw files of each organization are asked for by HEAD.

        `fast` proves what goes right of those that take a request: with `listed_target` those that are asked for, else all. `meter` counts
        what the prover reads.
        """
        self._prover = prover
        self._fast = fast
        self._meter = meter or Meter()
        self._listed_target = listed_target
        self._sampled: Counter[str] = Counter()
        self._patience = patience
        self._boundary = FileBoundary(patience)
        self._window = jobs * 2
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="prove")
        self._done: queue.SimpleQueue[SinkAnswer] = queue.SimpleQueue()
        self._at_once: deque[SinkAnswer] = deque()
        self._under_way = 0

    @property
    def has_room(self) -> bool:
        """Return True if threads, lane and waiting answers leave room for another step."""
        has_room = self._under_way < self._window and len(self._at_once) < _AT_ONCE_ANSWERS
        return has_room and (self._fast is None or self._fast.has_room)

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        """Prove at once what needs no reading, else give it to the small-object lane or to a thread."""
        raw_file = RawFile(organization, step.source.raw_id)
        target = step.target
        if target is None:
            self._at_once.append(SinkAnswer(ticket, Result(step.source, Outcome.MISSING, NOT_AT_TARGET)))
            return
        with_stat = self._listed_target is not None and self._sampled[organization] < SAMPLED
        self._sampled[organization] += with_stat
        proof = None if with_stat else self._prover.at_once(raw_file, step.source, target)
        if proof is not None:
            self._at_once.append(SinkAnswer(ticket, result_of(step.source, proof)))
            return
        is_for_lane = with_stat or self._listed_target is None
        is_for_lane = is_for_lane and organization not in self._patience.closed
        if self._fast is None or not is_for_lane or not self._fast.submit(ticket, organization, step):
            self._submit(ticket, raw_file, step.source, target, with_stat=with_stat)

    def answers(self, *, flush: bool) -> Iterator[SinkAnswer]:
        """Yield proofs that are there; wait a moment if there are none."""
        waits = not self._at_once
        while self._at_once:
            yield self._at_once.popleft()
        if self._fast is not None and self._fast.under_way:
            wait = 0.0 if not waits else _SHORT_WAIT if self._under_way else _WAIT
            yield from self._fast_answers(self._fast, wait)
            waits = False
        try:
            while self._under_way:
                answer = self._done.get(timeout=_WAIT) if waits else self._done.get_nowait()
                waits = False
                self._under_way -= 1
                yield answer
        except queue.Empty:
            return

    def moved(self) -> Iterator[tuple[object, int]]:
        """Yield how far large raw files have been read."""
        yield from self._meter.moved()

    def close(self) -> None:
        """Drop what has not begun, and close the lane."""
        self._pool.shutdown(cancel_futures=True)
        if self._fast is not None:
            self._fast.close()

    def _submit(self, ticket: object, raw_file: RawFile, source: Entry, target: Entry, *, with_stat: bool) -> None:
        self._under_way += 1
        self._pool.submit(self._carry, ticket, raw_file, source, target, with_stat=with_stat)

    def _fast_answers(self, fast: FastLane, wait: float) -> Iterator[SinkAnswer]:
        """What the fast lane proved; what it declined is proven by a thread."""
        for carried in fast.carried(wait):
            if isinstance(carried, SinkAnswer):
                yield carried
            elif not isinstance(carried, Stored):
                ticket, organization, step = carried
                raw_file = RawFile(organization, step.source.raw_id)
                if step.target is not None:  # the lane takes no other
                    self._submit(ticket, raw_file, step.source, step.target, with_stat=self._listed_target is not None)

    def _stat_and_prove(self, raw_file: RawFile, source: Entry, target: Entry) -> Proof:
        """As the prover, of what the end that is asked finds. Raises StoreError."""
        if self._listed_target is not None and self._listed_target.stat(raw_file) is None:
            refuse_listed(self._listed_target, raw_file)
            return Proof(Outcome.MISSING, reason=NOT_AT_TARGET, entry=source)
        return self._prover.at_once(raw_file, source, target) or self._prover.prove(raw_file, source, target)

    def _carry(self, ticket: object, raw_file: RawFile, source: Entry, target: Entry, *, with_stat: bool) -> None:
        prove = partial(self._stat_and_prove if with_stat else self._prover.prove, raw_file, source, target)

        def carry() -> SinkAnswer:
            with self._meter.measuring(ticket, source.size):
                proof = self._patience.run(prove, is_request=False, organization=raw_file.organization)
            return SinkAnswer(ticket, result_of(source, proof))

        self._done.put(self._boundary.crossed(ticket, raw_file, source, carry))


def result_of(source: Entry, proof: Proof) -> Result:
    """Counted with the size that was listed: the totals of both ends are about the same raw files."""
    entry = proof.entry or source
    evidence = proof.how.value if proof.how is not None else ""
    return Result(entry, proof.outcome, proof.reason, evidence=evidence, digests=proof.digests)
