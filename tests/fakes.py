"""The few fakes: a clock that stands still, patience that does not wait, a store that fails by schedule.

Each keeps the contract of what it stands for; none of them knows how the code under test works inside.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from migrator.core.entities import Entry, Folder, RawFile, Shard
from migrator.core.errors import MigratorError, StoreError
from migrator.core.notices import Notice, Notify
from migrator.core.protocols import Content, Moved, Promise, Receipt, Source, Target, ignore_moved
from migrator.transfer.large_file_progress import MeasuredContent
from migrator.transfer.retry import RetryPolicy

SECOND_NS = 1_000_000_000


class Clock:
    """A clock that moves only when it is told to. In seconds when called, in nanoseconds by `ns`."""

    def __init__(self, seconds: float = 1_000_000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds

    def ns(self) -> int:
        return int(self.seconds * SECOND_NS)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class Waits(threading.Event):
    """An event on which waiting takes the clock's time, not the test's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        if not self.is_set():
            self._clock.advance(timeout or 0.0)
        return self.is_set()


def quick_patience(*, seconds: float = 120, at_first: float = 10) -> RetryPolicy:
    """Patience whose pauses pass at once."""
    clock = Clock()
    return RetryPolicy(seconds=seconds, at_first=at_first, clock=clock, stopping=Waits(clock))


Fault = MigratorError | Callable[[], object]
"""An error to raise, or something to do before the call goes on."""


@dataclass
class Schedule:
    """What happens at which call: ``{("store", 2): Unavailable(…)}`` is raised at the second call of `store`.

    `always` is raised at every call of a method; `every_call` is called with each method's name. Entries that a scan yields count as
    "entry", reads and finishes of opened contents as "read" and "finish", raw files that publishing answered as "published".
    """

    at: Mapping[tuple[str, int], Fault] = field(default_factory=dict)
    always: Mapping[str, MigratorError] = field(default_factory=dict)
    every_call: Callable[[str], object] = lambda method: None
    calls: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, method: str) -> None:
        with self.lock:
            self.calls[method] += 1
            fault = self.at.get((method, self.calls[method]), self.always.get(method))
        self.every_call(method)
        if isinstance(fault, MigratorError):
            raise fault
        if fault is not None:
            fault()


class FailingContent(MeasuredContent):
    """A content that fails by schedule."""

    def __init__(self, content: Content, schedule: Schedule) -> None:
        super().__init__(content, moved=lambda size: None)
        self._schedule = schedule

    def read(self, size: int) -> bytes:
        self._schedule.meet("read")
        return super().read(size)

    def borrow(self, size: int) -> memoryview:
        self._schedule.meet("read")
        return super().borrow(size)

    def part(self, size: int) -> BinaryIO | None:
        self._schedule.meet("read")
        return super().part(size)

    def finish(self) -> None:
        self._schedule.meet("finish")
        super().finish()


class FailingStore:
    """A store that does what another does, and fails by schedule."""

    def __init__(self, store: Target, schedule: Schedule) -> None:
        self._store = store
        self.schedule = schedule

    def describe(self, raw_file: RawFile) -> str:
        return self._store.describe(raw_file)

    def organizations(self, notify: Notify) -> Iterator[str]:
        self.schedule.meet("organizations")
        return self._store.organizations(notify)

    def shard_length(self, organization: str) -> int:
        self.schedule.meet("shard_length")
        return self._store.shard_length(organization)

    def folders(self, shard: Shard) -> Sequence[Folder]:
        self.schedule.meet("folders")
        return self._store.folders(shard)

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        self.schedule.meet("scan")
        for entry in self._store.scan(shard, notify):
            self.schedule.meet("entry")
            yield entry

    def scan_strays(self, organization: str, notify: Notify, *, length: int = 1) -> None:
        self.schedule.meet("scan_strays")
        self._store.scan_strays(organization, notify, length=length)

    def is_empty(self, organization: str) -> bool:
        self.schedule.meet("is_empty")
        return self._store.is_empty(organization)

    def stat(self, raw_file: RawFile) -> Entry | None:
        self.schedule.meet("stat")
        return self._store.stat(raw_file)

    def is_listed(self, raw_file: RawFile) -> bool:
        self.schedule.meet("is_listed")
        return self._store.is_listed(raw_file)

    def promise(self, raw_file: RawFile) -> Promise | None:
        self.schedule.meet("promise")
        return self._store.promise(raw_file)

    def can_read(self, raw_file: RawFile) -> bool:
        return self._store.can_read(raw_file)

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[Content]:
        self.schedule.meet("open")
        with self._store.open(raw_file, entry) as content:
            yield FailingContent(content, self.schedule)

    def prepare(self, organization: str) -> None:
        self.schedule.meet("prepare")
        self._store.prepare(organization)

    def clear_leftovers(self, source: Source) -> None:
        self._store.clear_leftovers(source)

    def server_side_copy(
        self, raw_file: RawFile, source: Source, entry: Entry, moved: Moved = ignore_moved
    ) -> Receipt | None:
        self.schedule.meet("adopt")
        return self._store.server_side_copy(raw_file, source, entry, moved)

    def store(self, raw_file: RawFile, content: Content) -> Receipt:
        self.schedule.meet("store")
        return self._store.store(raw_file, content)

    def replace(self, raw_file: RawFile, content: Content, own_version: str) -> Receipt:
        self.schedule.meet("replace")
        return self._store.replace(raw_file, content, own_version)

    def publish(self, receipts: Sequence[tuple[RawFile, Receipt]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """An error that the schedule has for "published" is answered for that raw file, as the contract has it."""
        self.schedule.meet("publish")
        for raw_file, receipt in receipts:
            try:
                self.schedule.meet("published")
            except StoreError as error:
                yield raw_file, error
                continue
            yield from self._store.publish([(raw_file, receipt)])


class TellingStore(FailingStore):
    """A store whose scans tell more notices than they have."""

    def __init__(self, store: Target, *notices: Notice) -> None:
        super().__init__(store, Schedule())
        self._notices = notices

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        for notice in self._notices:
            notify(notice)
        return super().scan(shard, notify)
