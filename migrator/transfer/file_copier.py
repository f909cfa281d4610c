"""The careful lane: a thread for each raw file under way, through the stores' own calls, which know errors, retries and explanations."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

from migrator.core.entities import Entry, RawFile
from migrator.core.equality import beginning, same_content
from migrator.core.errors import (
    AlreadyThere,
    BucketClosed,
    Interrupted,
    MigratorError,
    NotTheSame,
    SourceChanged,
    StoreError,
    Vanished,
)
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.core.protocols import Reads, Receipt, SinkAnswer, Source, Target
from migrator.core.size_thresholds import WHOLE_UP_TO
from migrator.sync.shard.deciding import DIFFERENT_SIZE, different_size
from migrator.transfer.large_file_progress import MeasuredSource, Meter
from migrator.transfer.retry import ROUNDS, RetryPolicy

T = TypeVar("T")
_LARGE_AT_ONCE = 2

DIFFERENT_CONTENT = "the target holds other content under this name"
CHANGED_SINCE = "the source was changed after it was copied, and the copy is not its beginning"


class Stored(NamedTuple):
    """A raw file whose content arrived, and that `Target.publish` has yet to make visible."""

    ticket: object
    raw_file: RawFile
    result: Result
    receipt: Receipt


Carried = SinkAnswer | Stored


def failed_by(error: StoreError, entry: Entry) -> Result:
    """The end of a raw file that failed for good: what happened, why, and what to do, under the error's name."""
    return Result(entry, Outcome.FAILED, str(error), code=error.name, request_id=error.request_id)


def refuse_listed(store: Reads, raw_file: RawFile) -> None:
    """Look whether a fresh listing shows what was not found: then it has not vanished.

    Raises:
        StoreError: If it does.
    """
    if store.is_listed(raw_file):
        raise StoreError(
            "listed-and-gone",
            f"{store.describe(raw_file)} is listed, but not found when read.",
            why="The store's index and contents disagree.",
            cure="Check the file system, or the server's index of that bucket, then rerun.",
        )


class FileBoundary:
    """The boundary of one raw file: whatever happens to it becomes its outcome, or ends the run. Used by any thread."""

    def __init__(self, patience: RetryPolicy) -> None:
        self._patience = patience

    def crossed(self, ticket: object, raw_file: RawFile, entry: Entry, carry: Callable[[], T]) -> T | SinkAnswer:
        """Return what `carry` returned, or the answer that tells what it raised.

        Raises:
            BaseException: If it is no error, such as a KeyboardInterrupt.
        """
        try:
            closed = self._patience.closed.get(raw_file.organization)
            return carry() if closed is None else SinkAnswer(ticket, failed_by(closed, entry))
        except Interrupted as error:
            return SinkAnswer(ticket, Result(entry, Outcome.PENDING, error.what))
        except StoreError as error:
            return self.failed(ticket, raw_file, entry, error)
        except MigratorError as error:
            return SinkAnswer(ticket, Result(entry, Outcome.PENDING, error.what), error)
        except Exception as error:
            reason = f"unexpected {type(error).__name__}: {error}"
            return SinkAnswer(ticket, Result(entry, Outcome.FAILED, reason, code="unexpected"))

    def failed(self, ticket: object, raw_file: RawFile, entry: Entry, error: StoreError) -> SinkAnswer:
        """The answer for a raw file that failed for good, and whether that ends the run, or all of its organization."""
        try:
            self._patience.failed(error, raw_file.organization)
        except BucketClosed as closed:
            return SinkAnswer(ticket, failed_by(error, entry), closed)
        except MigratorError as stop:
            return SinkAnswer(ticket, Result(entry, Outcome.PENDING, error.what), stop)
        return SinkAnswer(ticket, failed_by(error, entry))


class FileCopier:
    """Copies and compares in `jobs` threads; large files in a few of their own, so that they hold no small one up."""

    def __init__(self, source: Source, target: Target, *, jobs: int, patience: RetryPolicy) -> None:
        self._source = source
        self._target = target
        self._patience = patience
        self.boundary = FileBoundary(patience)
        self._window = jobs * 2
        self._small = ThreadPoolExecutor(jobs, thread_name_prefix="copy")
        self._large = ThreadPoolExecutor(min(jobs, _LARGE_AT_ONCE), thread_name_prefix="large")
        self._done: queue.SimpleQueue[Carried | BaseException] = queue.SimpleQueue()
        self._meter = Meter()
        self._read_source, self._read_target = MeasuredSource(source, self._meter), MeasuredSource(target, self._meter)
        self.under_way = 0
        self.closed = patience.closed

    @property
    def has_room(self) -> bool:
        """Return True if a thread is free for another step."""
        return self.under_way < self._window

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        """Begin with a step in a thread; files in parts have threads of their own, so that small ones do not wait."""
        raw_file = RawFile(organization, step.source.raw_id)
        is_large = step.action is Action.COPY and step.source.size > WHOLE_UP_TO
        self.under_way += 1
        (self._large if is_large else self._small).submit(self._carry, ticket, raw_file, step)

    def carried(self, timeout: float) -> Iterator[Carried]:
        """What has ended; waits up to `timeout` seconds for the first. Raises what is no error, such as a KeyboardInterrupt of a thread."""
        try:
            while self.under_way:
                carried = self._done.get(timeout=timeout) if timeout else self._done.get_nowait()
                self.under_way -= 1
                if isinstance(carried, BaseException):
                    raise carried
                timeout = 0
                yield carried
        except queue.Empty:
            return

    def moved(self) -> Iterator[tuple[object, int]]:
        """Yield tickets of large files, and the bytes read since the last call; they are taken back when the file ends, however it does."""
        yield from self._meter.moved()

    def close(self) -> None:
        """Drop what has not begun, and wait for what has."""
        self._small.shutdown(cancel_futures=True)
        self._large.shutdown(cancel_futures=True)

    def resolve_existing(self, raw_file: RawFile, copied: Result) -> Result:
        """Decide on a raw file whose name was taken meanwhile.

        Equal content is what was wanted, by whomever; other content is a conflict.

        Raises:
            StoreError: If an end cannot be read, or the source lists the raw file and does not find it.
        """
        source, target = self._source.stat(raw_file), self._target.stat(raw_file)
        if source is None:
            refuse_listed(self._source, raw_file)
            return copied._replace(outcome=Outcome.VANISHED, reason="deleted while it was copied")
        if target is None:
            return copied._replace(outcome=Outcome.FAILED, reason="the target's name was taken, and then free again")
        if source.size == target.size and same_content(raw_file, self._source, source, self._target, target):
            return copied._replace(entry=source, version=target.version)
        reason = DIFFERENT_CONTENT if source.size == target.size else different_size(source, target)
        return copied._replace(entry=source, outcome=Outcome.CONFLICT, reason=reason)

    def _carry(self, ticket: object, raw_file: RawFile, step: Step) -> None:
        carry = partial(self._carry_or_miss, ticket, raw_file, step)
        try:
            with self._meter.measuring(ticket, step.source.size):
                carried = self.boundary.crossed(ticket, raw_file, step.source, carry)
        except BaseException as error:  # it ends the thread, and has to end whoever waits for it too
            self._done.put(error)
            raise
        self._done.put(carried)

    def _carry_or_miss(self, ticket: object, raw_file: RawFile, step: Step) -> Carried:
        """Carry; a raw file has vanished only if the source neither finds nor lists it.

        Raises:
            Vanished: If the source has it, and the target misses something.
            StoreError: If it fails otherwise.
        """
        try:
            return self._carry_with_tries(ticket, raw_file, step)
        except Vanished as error:
            if self._source.stat(raw_file) is not None:
                raise
            refuse_listed(self._source, raw_file)
            return SinkAnswer(ticket, Result(step.source, Outcome.VANISHED, error.what, code=error.name))

    def _carry_with_tries(self, ticket: object, raw_file: RawFile, step: Step) -> Carried:
        run = partial(self._patience.run, is_request=False, organization=raw_file.organization)
        for _ in range(ROUNDS - 1):
            try:
                return run(partial(self._carry_once, ticket, raw_file, step))
            except (SourceChanged, NotTheSame) as error:
                if error.is_spent:
                    raise
                fresh = self._source.stat(raw_file)
                if fresh is None:
                    raise Vanished("vanished", f"{self._source.describe(raw_file)} is gone.") from None
                step = step._replace(source=fresh)
        return run(partial(self._carry_once, ticket, raw_file, step))

    def _carry_once(self, ticket: object, raw_file: RawFile, step: Step) -> Carried:
        if step.action is Action.COPY:
            return self._copy(ticket, raw_file, step)
        target = step.target
        if target is None:
            return SinkAnswer(ticket, Result(step.source, Outcome.CONFLICT, DIFFERENT_SIZE))
        if step.source.size == target.size and same_content(
            raw_file, self._read_source, step.source, self._read_target, target
        ):
            return SinkAnswer(ticket, Result(step.source, Outcome.PRESENT, version=target.version))
        if not step.may_replace:
            reason = DIFFERENT_CONTENT if step.source.size == target.size else different_size(step.source, target)
            return SinkAnswer(ticket, Result(step.source, Outcome.CONFLICT, reason))
        begins = beginning(raw_file, self._read_source, step.source, self._read_target, target)
        if begins is None:
            return SinkAnswer(ticket, Result(step.source, Outcome.CONFLICT, CHANGED_SINCE))
        return self._replace(ticket, raw_file, step._replace(source=begins), target.version, only=begins)

    def _copy(self, ticket: object, raw_file: RawFile, step: Step) -> Carried:
        self._target.prepare(raw_file.organization)
        copied = Result(step.source, Outcome.COPIED)
        try:
            receipt = self._target.server_side_copy(raw_file, self._source, step.source, self._meter.counter())
            if receipt is not None:
                return Stored(ticket, raw_file, copied, receipt)
            with self._read_source.open(raw_file, step.source) as content:
                receipt = self._target.store(raw_file, content)
                return Stored(ticket, raw_file, copied._replace(entry=content.entry), receipt)
        except AlreadyThere:
            if step.may_replace:
                return self._replace(ticket, raw_file, step, step.own_version or "")
            return SinkAnswer(ticket, self.resolve_existing(raw_file, copied))

    def _replace(
        self, ticket: object, raw_file: RawFile, step: Step, own_version: str, only: Entry | None = None
    ) -> Carried:
        """Put the raw file over a copy of ours; `only` in the state in which the copy was compared with it.

        Raises:
            SourceChanged: If it is in another state.
        """
        copied = Result(step.source, Outcome.COPIED)
        try:
            with self._read_source.open(raw_file, step.source) as content:
                if only is not None and content.entry != only:
                    raise SourceChanged(
                        "source-changed", f"{self._source.describe(raw_file)} changed while it was compared."
                    )
                receipt = self._target.replace(raw_file, content, own_version)
                return Stored(ticket, raw_file, copied._replace(entry=content.entry), receipt)
        except AlreadyThere:  # a try before this one, whose answer got lost, may have been carried out
            return SinkAnswer(ticket, self.resolve_existing(raw_file, copied))
