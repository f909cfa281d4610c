"""The careful lane alone: each way that a raw file can go gives one answer, with all that it has to say."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest

from migrator.core.entities import Entry, RawFile
from migrator.core.errors import AlreadyThere, Interrupted, MustStop, SourceChanged, StoreError, StoreFull, Vanished
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.core.protocols import Content, Moved, Receipt, SinkAnswer, Source, ignore_moved
from migrator.core.size_thresholds import WHOLE_UP_TO
from migrator.sync.shard.deciding import DIFFERENT_SIZE, different_size
from migrator.transfer import file_copier
from migrator.transfer.file_copier import CHANGED_SINCE, DIFFERENT_CONTENT, Carried, FileCopier, Stored
from migrator.transfer.retry import RetryPolicy
from tests.backends import raw_id
from tests.fakes import Clock, FailingStore, Fault, Schedule, Waits, quick_patience
from tests.memory_store import MemoryStore

T = TypeVar("T")

ONE, TWO = RawFile("org", raw_id("0001")), RawFile("org", raw_id("0002"))
TICKET = "ticket"
TAKEN = AlreadyThere("already-there", "It appeared meanwhile.")
CHANGED = SourceChanged("source-changed", "It changed.")


def store_of(data: bytes | None) -> MemoryStore:
    made = MemoryStore(etags=False)
    if data is not None:
        made.save(ONE, data)
    return made


def entry_of(store: MemoryStore) -> Entry:
    entry = store.stat(ONE)
    assert entry is not None
    return entry


def carried_by(
    source: MemoryStore | FailingStore,
    target: MemoryStore | FailingStore,
    step: Step,
    *,
    patience: RetryPolicy | None = None,
) -> Carried:
    lane = FileCopier(source, target, jobs=1, patience=patience or quick_patience())
    lane.submit(TICKET, "org", step)
    [carried] = lane.carried(10)
    lane.close()
    assert lane.under_way == 0
    return carried


def test_a_provisional_copy_of_ours_is_replaced_by_what_is_there_now() -> None:
    here, there = store_of(b"half and the rest"), store_of(b"half")
    then, theirs = entry_of(here), entry_of(there)
    carried = carried_by(here, there, Step(Action.DIFFER, then, theirs, theirs.version))
    assert isinstance(carried, Stored)
    assert (carried.ticket, carried.raw_file) == (TICKET, ONE)
    assert carried.result == Result(then, Outcome.COPIED)
    assert list(there.publish([(carried.raw_file, carried.receipt)])) == [(ONE, None)]
    assert there.contents() == {ONE: b"half and the rest"}


def test_a_large_file_tells_how_far_it_has_come_and_takes_it_back_when_it_ends() -> None:
    size = WHOLE_UP_TO + 1
    for content, moved in ((b"x" * size, size), (b"small", 0)):
        here, there = store_of(content), store_of(None)
        lane = FileCopier(here, there, jobs=1, patience=quick_patience())
        lane.submit(TICKET, "org", Step(Action.COPY, entry_of(here), None))
        list(lane.carried(10))
        told = list(lane.moved())
        lane.close()
        assert {ticket for ticket, _ in told} <= {TICKET}
        assert sum(count for _, count in told if count > 0) == moved
        assert sum(count for _, count in told) == 0


def test_what_is_not_our_own_any_more_is_not_replaced() -> None:
    here, there = store_of(b"half and the rest"), store_of(b"half")
    step = Step(Action.DIFFER, entry_of(here), entry_of(there), entry_of(there).version)
    failing = FailingStore(there, Schedule({("replace", 1): TAKEN}))
    carried = carried_by(here, failing, step)
    reason = different_size(step.source, entry_of(there))
    assert carried == SinkAnswer(TICKET, Result(step.source, Outcome.CONFLICT, reason))
    assert there.contents() == {ONE: b"half"}


@pytest.mark.parametrize(
    ("theirs", "outcome", "reason", "opened"),
    [
        (b"content", Outcome.PRESENT, "", 1),
        (b"CONTENT", Outcome.CONFLICT, DIFFERENT_CONTENT, 1),
        (b"contents", Outcome.CONFLICT, f"{DIFFERENT_SIZE} (8 bytes, 7 at the source)", 0),
    ],
)
def test_what_is_to_be_compared_is_compared(theirs: bytes, outcome: Outcome, reason: str, opened: int) -> None:
    here, there = FailingStore(store_of(b"content"), Schedule()), store_of(theirs)
    source = here.stat(ONE)
    assert source is not None
    carried = carried_by(here, there, Step(Action.COMPARE, source, entry_of(there)))
    mark = entry_of(there).version if outcome is Outcome.PRESENT else ""
    assert carried == SinkAnswer(TICKET, Result(source, outcome, reason, version=mark))
    assert here.schedule.calls["open"] == opened, "sizes that differ tell enough"


def test_a_replacement_whose_answer_got_lost_is_no_conflict() -> None:
    here, there = store_of(b"half and the rest"), store_of(b"half")
    step = Step(Action.DIFFER, entry_of(here), entry_of(there), entry_of(there).version)

    def carried_out_and_refused() -> None:
        there.save(ONE, b"half and the rest")
        raise TAKEN

    carried = carried_by(here, FailingStore(there, Schedule({("replace", 1): carried_out_and_refused})), step)
    assert carried == SinkAnswer(TICKET, Result(step.source, Outcome.COPIED, version=entry_of(there).version))


def test_a_different_size_that_is_not_ours_to_replace_is_a_conflict_and_nothing_is_read() -> None:
    here, there = FailingStore(store_of(b"content"), Schedule()), store_of(b"more content")
    source = here.stat(ONE)
    assert source is not None
    for own_version in (None, "another's mark"):
        carried = carried_by(here, there, Step(Action.DIFFER, source, entry_of(there), own_version))
        reason = f"{DIFFERENT_SIZE} (12 bytes, 7 at the source)"
        assert carried == SinkAnswer(TICKET, Result(source, Outcome.CONFLICT, reason))
    assert here.schedule.calls["open"] == 0


@pytest.mark.parametrize("etags", [True, False])
@pytest.mark.parametrize(
    ("theirs", "outcome"),
    [
        (b"content", Outcome.PRESENT),
        (b"", Outcome.COPIED),
        (b"cont", Outcome.COPIED),
        (b"CONTENT", Outcome.CONFLICT),
        (b"CONT", Outcome.CONFLICT),
        (b"contents", Outcome.CONFLICT),
    ],
)
@pytest.mark.parametrize("action", [Action.COMPARE, Action.DIFFER])
def test_a_copy_of_ours_is_replaced_only_if_it_is_a_beginning_of_what_is_there_now(
    action: Action, theirs: bytes, outcome: Outcome, etags: bool
) -> None:
    here, there = store_of(b"content"), MemoryStore(etags=etags)
    there.save(ONE, theirs)
    carried = carried_by(here, there, Step(action, entry_of(here), entry_of(there), entry_of(there).version))
    mark = entry_of(there).version if outcome is Outcome.PRESENT else ""
    reason = CHANGED_SINCE if outcome is Outcome.CONFLICT else ""
    assert carried.result == Result(entry_of(here), outcome, reason, version=mark)
    assert isinstance(carried, Stored) is (outcome is Outcome.COPIED)


def test_a_raw_file_that_is_rewritten_after_its_beginning_was_compared_replaces_nothing() -> None:
    here, there = store_of(b"half and the rest"), store_of(b"half")

    def rewritten() -> None:
        here.save(ONE, b"something else, longer")

    changing = FailingStore(here, Schedule({("open", 3): rewritten}))
    carried = carried_by(changing, there, Step(Action.DIFFER, entry_of(here), entry_of(there), entry_of(there).version))
    assert carried == SinkAnswer(TICKET, Result(entry_of(here), Outcome.CONFLICT, CHANGED_SINCE))
    assert there.contents() == {ONE: b"half"}


def test_what_arrived_damaged_is_ours_to_replace_if_it_is_still_as_we_left_it() -> None:
    """A lane that declines what it sent says under which mark it lies there."""
    here, there = store_of(b"content"), store_of(b"CONTENT")
    step = Step(Action.COPY, entry_of(here), entry_of(there), entry_of(there).version)
    carried = carried_by(here, there, step)
    assert isinstance(carried, Stored)
    assert carried == Stored(TICKET, ONE, Result(step.source, Outcome.COPIED), carried.receipt)
    assert list(there.publish([(ONE, carried.receipt)])) == [(ONE, None)]
    assert there.contents() == {ONE: b"content"}
    not_ours = step._replace(target=entry_of(there), own_version="another's mark")
    assert carried_by(here, there, not_ours).result == Result(
        step.source, Outcome.COPIED, version=entry_of(there).version
    )


@pytest.mark.parametrize(("theirs", "outcome"), [(b"content", Outcome.COPIED), (b"CONTENT", Outcome.CONFLICT)])
def test_a_name_that_was_taken_meanwhile_is_answered_with_what_is_there_now(theirs: bytes, outcome: Outcome) -> None:
    here, there = store_of(b"content"), store_of(theirs)
    old = entry_of(here)._replace(size=3)
    failing = FailingStore(there, Schedule({("store", 1): TAKEN}))
    carried = carried_by(here, failing, Step(Action.COPY, old, None))
    assert isinstance(carried, SinkAnswer)
    assert carried.ticket == TICKET
    assert carried.result.outcome is outcome
    assert carried.result.entry == entry_of(here), "as it is, not as it was listed"
    if outcome is Outcome.COPIED:
        assert (carried.result.version, carried.result.reason) == (entry_of(there).version, "")
    else:
        assert (carried.result.version, carried.result.reason) == ("", DIFFERENT_CONTENT)


def test_a_name_that_was_taken_with_another_size_is_a_conflict_and_nothing_more_is_read() -> None:
    here, there = FailingStore(store_of(b"content"), Schedule()), store_of(b"more content")
    source = here.stat(ONE)
    assert source is not None
    carried = carried_by(here, there, Step(Action.COPY, source, None))
    assert carried == SinkAnswer(
        TICKET,
        Result(source, Outcome.CONFLICT, f"{DIFFERENT_SIZE} (12 bytes, 7 at the source)"),
    )
    assert here.schedule.calls["open"] == 1, "to copy it; to compare it, it is not opened again"


def test_a_name_that_was_taken_and_is_free_again_says_so() -> None:
    here = store_of(b"content")
    there = FailingStore(store_of(None), Schedule({("store", 1): TAKEN}))
    carried = carried_by(here, there, Step(Action.COPY, entry_of(here), None))
    reason = "the target's name was taken, and then free again"
    assert carried == SinkAnswer(TICKET, Result(entry_of(here), Outcome.FAILED, reason))


def test_a_name_that_was_taken_of_what_is_gone_says_so() -> None:
    here = store_of(b"content")
    there = FailingStore(store_of(None), Schedule({("store", 1): TAKEN}))
    step = Step(Action.COPY, entry_of(here), None)
    carried = carried_by(FailingStore(here, Schedule({("stat", 1): lambda: here.delete(ONE)})), there, step)
    assert carried.result == Result(step.source, Outcome.VANISHED, "deleted while it was copied")


REFUSED = StoreError("server-refused", "It said no.")
REFUSED.request_id = "request-1"
GONE = Vanished("vanished", "It is gone.")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (REFUSED, (Outcome.FAILED, "It said no.", "server-refused", "request-1")),
        (GONE, (Outcome.FAILED, "It is gone.", "vanished", "")),
        (
            lambda: 1 // 0,
            (Outcome.FAILED, "unexpected ZeroDivisionError: integer division or modulo by zero", "unexpected", ""),
        ),
    ],
)
def test_a_failure_carries_all_that_is_known(fault: Fault, expected: tuple[Outcome, str, str, str]) -> None:
    here = store_of(b"content")
    failing = FailingStore(here, Schedule({("open", 1): fault}))
    result = carried_by(failing, store_of(None), Step(Action.COPY, entry_of(here), None)).result
    assert (result.outcome, result.reason, result.code, result.request_id) == expected


def test_what_the_source_does_not_have_any_more_has_vanished_with_its_reason() -> None:
    here = store_of(b"content")
    step = Step(Action.COPY, entry_of(here), None)
    here.delete(ONE)
    reason = f"{here.describe(ONE)} is gone."
    expected = SinkAnswer(TICKET, Result(step.source, Outcome.VANISHED, reason, code="vanished"))
    assert carried_by(here, store_of(None), step) == expected
    after_a_change = FailingStore(here, Schedule({("open", 1): CHANGED}))
    assert carried_by(after_a_change, store_of(None), step) == expected


# --- what ends more than one raw file --------------------------------------------------------------------------------


def test_what_was_interrupted_is_pending_and_ends_nothing_else() -> None:
    here = store_of(b"content")
    failing = FailingStore(here, Schedule({("open", 1): Interrupted("interrupted", "It was asked to stop.")}))
    carried = carried_by(failing, store_of(None), Step(Action.COPY, entry_of(here), None))
    assert carried == SinkAnswer(TICKET, Result(entry_of(here), Outcome.PENDING, "It was asked to stop."), None)


@pytest.mark.parametrize("at", [{("open", 1)}, {("open", 1), ("stat", 1)}])
def test_what_ends_the_run_leaves_the_raw_file_pending_and_says_why(at: set[tuple[str, int]]) -> None:
    """While it is copied, and while the source is asked whether it has vanished."""
    here = store_of(b"content")
    stop = MustStop("stopped", "It has to stop.")
    faults: dict[tuple[str, int], Fault] = {each: stop if len(at) == 1 or each[0] == "stat" else GONE for each in at}
    failing = FailingStore(here, Schedule(faults))
    carried = carried_by(failing, store_of(None), Step(Action.COPY, entry_of(here), None))
    assert isinstance(carried, SinkAnswer)
    assert (carried.ticket, carried.result) == (TICKET, Result(entry_of(here), Outcome.PENDING, "It has to stop."))
    assert carried.stop is stop


def test_a_failure_that_all_others_would_share_ends_the_run_too() -> None:
    here = store_of(b"content")
    full = FailingStore(store_of(None), Schedule(always={"store": StoreFull("target-full", "No space is left.")}))
    carried = carried_by(here, full, Step(Action.COPY, entry_of(here), None))
    assert isinstance(carried, SinkAnswer)
    assert carried.ticket == TICKET
    assert carried.result == Result(entry_of(here), Outcome.PENDING, "No space is left.")
    assert isinstance(carried.stop, MustStop)
    assert carried.stop.name == "target-full"


def test_when_the_source_cannot_be_asked_what_became_of_it_that_is_the_failure() -> None:
    here = store_of(b"content")
    failing = FailingStore(here, Schedule({("open", 1): GONE, ("stat", 1): REFUSED}))
    carried = carried_by(failing, store_of(None), Step(Action.COPY, entry_of(here), None))
    result = Result(entry_of(here), Outcome.FAILED, "It said no.", code="server-refused", request_id="request-1")
    assert carried == SinkAnswer(TICKET, result)


def test_the_unexpected_while_a_fault_is_looked_into_is_a_failure_and_nobody_waits_for_ever() -> None:
    here = store_of(b"content")
    failing = FailingStore(here, Schedule({("open", 1): GONE, ("stat", 1): lambda: 1 // 0}))
    carried = carried_by(failing, store_of(None), Step(Action.COPY, entry_of(here), None))
    reason = "unexpected ZeroDivisionError: integer division or modulo by zero"
    assert carried == SinkAnswer(TICKET, Result(entry_of(here), Outcome.FAILED, reason, code="unexpected"))


# --- trying again ----------------------------------------------------------------------------------------------------


class Asked(RetryPolicy):
    """Knows as what it was asked to run something: as one request, or as what makes requests of its own."""

    def __init__(self) -> None:
        clock = Clock()
        super().__init__(clock=clock, stopping=Waits(clock))
        self.as_request: list[bool] = []

    def run(self, attempt: Callable[[], T], *, is_request: bool = True, organization: str = "") -> T:
        self.as_request.append(is_request)
        return super().run(attempt, is_request=is_request, organization=organization)


class Opened(MemoryStore):
    """Knows as what each raw file was opened."""

    def __init__(self) -> None:
        super().__init__(etags=False)
        self.opened: list[Entry] = []

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[Content]:
        self.opened.append(entry)
        with super().open(raw_file, entry) as content:
            yield content


def test_it_is_opened_as_it_was_listed_and_after_a_change_as_it_was_looked_at() -> None:
    """Stores rely on it: what is not as it was listed any more, S3 refuses to send."""
    here = Opened()
    here.save(ONE, b"content")
    then = entry_of(here)._replace(size=3)
    changing = FailingStore(here, Schedule({("finish", 1): CHANGED}))
    assert carried_by(changing, store_of(None), Step(Action.COPY, then, None)).result.outcome is Outcome.COPIED
    there = store_of(b"co")
    replacing = Step(Action.DIFFER, then, entry_of(there), entry_of(there).version)
    assert carried_by(here, there, replacing).result == Result(entry_of(here), Outcome.COPIED), "as it was read"
    assert here.opened == [then, entry_of(here), then, then, entry_of(here)]


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_each_try_carries_what_is_there_now_and_leaves_turns_to_the_requests_in_it(failures: int) -> None:
    """A try that held the one turn there is, while nothing succeeds, would wait for itself."""
    here, patience = store_of(b"content"), Asked()
    then = entry_of(here)._replace(size=3)
    faults: dict[tuple[str, int], Fault] = {("open", number): CHANGED for number in range(1, failures + 1)}
    there = store_of(None)
    step = Step(Action.COPY, then, None)
    carried = carried_by(FailingStore(here, Schedule(faults)), there, step, patience=patience)
    assert isinstance(carried, Stored)
    assert carried == Stored(TICKET, ONE, Result(entry_of(here), Outcome.COPIED), carried.receipt)
    assert patience.as_request == [False] * (failures + 1)
    assert list(there.publish([(ONE, carried.receipt)])) == [(ONE, None)]
    assert there.contents() == {ONE: b"content"}


def test_three_tries_are_all_there_are() -> None:
    here, patience = store_of(b"content"), Asked()
    failing = FailingStore(here, Schedule(always={"open": CHANGED}))
    carried = carried_by(failing, store_of(None), Step(Action.COPY, entry_of(here), None), patience=patience)
    assert carried == SinkAnswer(TICKET, Result(entry_of(here), Outcome.FAILED, "It changed.", code="source-changed"))
    assert patience.as_request == [False] * 3


class Adopting(MemoryStore):
    """A target that has the content already."""

    receipt = object()

    def __init__(self) -> None:
        super().__init__(etags=False)
        self.prepared: list[str] = []
        self.asked: list[tuple[RawFile, Source, Entry]] = []

    def prepare(self, organization: str) -> None:
        self.prepared.append(organization)

    def server_side_copy(
        self, raw_file: RawFile, source: Source, entry: Entry, moved: Moved = ignore_moved
    ) -> Receipt | None:
        self.asked.append((raw_file, source, entry))
        return self.receipt  # type: ignore[return-value]


def test_what_is_adopted_is_stored_as_it_was_listed_and_not_opened() -> None:
    here, there = FailingStore(store_of(b"content"), Schedule()), Adopting()
    listed = Entry(ONE.raw_id, 3)
    carried = carried_by(here, there, Step(Action.COPY, listed, None))
    assert carried == Stored(TICKET, ONE, Result(listed, Outcome.COPIED), there.receipt)  # type: ignore[arg-type]
    assert there.prepared == ["org"]
    assert there.asked == [(ONE, here, listed)]
    assert here.schedule.calls["open"] == 0


# --- threads, and waiting for them -----------------------------------------------------------------------------------


class Threads(MemoryStore):
    """Knows which threads opened what."""

    def __init__(self) -> None:
        super().__init__(etags=False)
        self.opened_by: list[str] = []

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[Content]:
        self.opened_by.append(threading.current_thread().name.partition("_")[0])
        with super().open(raw_file, entry._replace(size=7)) as content:
            yield content


@pytest.mark.parametrize(
    ("action", "size", "thread"),
    [
        (Action.COPY, WHOLE_UP_TO, "copy"),
        (Action.COPY, WHOLE_UP_TO + 1, "large"),
        (Action.COMPARE, WHOLE_UP_TO + 1, "copy"),
    ],
)
def test_large_copies_hold_no_small_one_up(action: Action, size: int, thread: str) -> None:
    here, there = Threads(), store_of(b"content" if action is Action.COMPARE else None)
    here.save(ONE, b"content")
    source = entry_of(here)._replace(size=size)
    target = entry_of(there)._replace(size=size) if action is Action.COMPARE else None
    carried_by(here, there, Step(action, source, target))
    assert here.opened_by[:1] == [thread]


def test_it_has_room_for_twice_as_many_as_it_carries_at_once() -> None:
    lane = FileCopier(store_of(None), store_of(None), jobs=2, patience=quick_patience())
    for under_way, has_room in ((0, True), (3, True), (4, False)):
        lane.under_way = under_way
        assert lane.has_room is has_room
    lane.close()


class Gated(MemoryStore):
    """Holds up everybody who opens something until it may go on."""

    def __init__(self) -> None:
        super().__init__(etags=False)
        self.may_go_on = threading.Event()
        self.has_begun = threading.Event()
        self.opened: list[RawFile] = []

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[Content]:
        self.opened.append(raw_file)
        self.has_begun.set()
        assert self.may_go_on.wait(60)
        with super().open(raw_file, entry) as content:
            yield content


def threads_called(name: str) -> int:
    return sum(thread.name.startswith(name) for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("size", "jobs", "name", "at_once"),
    [(1, 3, "copy_", 3), (WHOLE_UP_TO + 1, 3, "large_", 2), (WHOLE_UP_TO + 1, 1, "large_", 1)],
)
def test_as_many_as_there_are_jobs_and_of_large_ones_two(size: int, jobs: int, name: str, at_once: int) -> None:
    """A thread is made for what is submitted while all others are busy, and none beyond those."""
    here, before = Gated(), threads_called(name)
    lane = FileCopier(here, store_of(None), jobs=jobs, patience=quick_patience())
    for number in range(6):
        lane.submit(number, "org", Step(Action.COPY, Entry(raw_id(f"{number:04x}"), size), None))
    assert threads_called(name) - before == at_once
    assert lane.under_way == 6
    here.may_go_on.set()
    lane.close()


def test_who_waits_for_what_does_not_end_gets_nothing_and_may_come_again() -> None:
    here = Gated()
    here.save(ONE, b"content")
    lane = FileCopier(here, store_of(None), jobs=1, patience=quick_patience())
    assert list(lane.carried(60)) == [], "nothing is under way, and nobody waits for it"
    lane.submit(TICKET, "org", Step(Action.COPY, entry_of(here), None))
    assert list(lane.carried(0)) == []
    assert list(lane.carried(0.01)) == []
    assert lane.under_way == 1
    here.may_go_on.set()
    assert [carried.ticket for carried in lane.carried(60)] == [TICKET]
    assert lane.under_way == 0
    lane.close()


class Waited(queue.SimpleQueue):  # type: ignore[type-arg]
    """Knows how long each who came was ready to wait."""

    def __init__(self) -> None:
        self.seconds: list[float | None] = []

    def get(self, block: bool = True, timeout: float | None = None) -> object:
        self.seconds.append(timeout)
        return super().get(block, timeout)


def test_only_the_first_is_waited_for() -> None:
    lane = FileCopier(store_of(None), store_of(None), jobs=2, patience=quick_patience())
    lane._done = ended = Waited()
    answers = [SinkAnswer(ticket, Result(Entry(ONE.raw_id, 7), Outcome.PRESENT)) for ticket in ("first", "second")]
    for answer in answers:
        ended.put(answer)
    lane.under_way = 3
    assert list(lane.carried(60)) == answers
    assert ended.seconds == [60]
    assert lane.under_way == 1
    lane.close()


class ToldToEnd(ThreadPoolExecutor):
    """Lets what is under way go on only once what has not begun was cancelled, or was not."""

    go_on: Callable[[], object]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        type(self).go_on()
        super().shutdown(wait=wait)


@pytest.mark.parametrize("size", [7, WHOLE_UP_TO + 1])
def test_closed_it_begins_nothing_more_and_ends_what_it_began(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Gated(), store_of(None)
    for raw_file in (ONE, TWO):
        here.save(raw_file, b"content")
    monkeypatch.setattr(file_copier, "ThreadPoolExecutor", ToldToEnd)
    monkeypatch.setattr(ToldToEnd, "go_on", here.may_go_on.set, raising=False)
    lane = FileCopier(here, there, jobs=1, patience=quick_patience())
    for raw_file in (ONE, TWO):
        lane.submit(raw_file, "org", Step(Action.COPY, Entry(raw_file.raw_id, size), None))
    assert here.has_begun.wait(60)
    lane.close()
    assert here.opened == [ONE]
    assert [carried.ticket for carried in lane.carried(0)] == [ONE]


class Ghost(MemoryStore):
    """Lists what it does not find."""

    def is_listed(self, raw_file: RawFile) -> bool:
        return True


@pytest.mark.parametrize("kind", [MemoryStore, Ghost])
def test_what_is_not_found_has_vanished_only_if_it_is_not_listed_any_more(kind: type[MemoryStore]) -> None:
    here = kind(etags=False)
    carried = carried_by(here, store_of(None), Step(Action.COPY, entry_of(store_of(b"content")), None))
    expected = (Outcome.FAILED, "listed-and-gone") if kind is Ghost else (Outcome.VANISHED, "vanished")
    assert (carried.result.outcome, carried.result.code) == expected


@pytest.mark.parametrize("kind", [MemoryStore, Ghost])
def test_a_name_that_was_taken_of_what_is_not_found_has_vanished_only_if_it_is_not_listed(
    kind: type[MemoryStore],
) -> None:
    here = kind(etags=False)
    here.save(ONE, b"content")
    there = FailingStore(store_of(None), Schedule({("store", 1): TAKEN}))
    gone = FailingStore(here, Schedule({("stat", 1): lambda: here.delete(ONE)}))
    carried = carried_by(gone, there, Step(Action.COPY, entry_of(here), None))
    assert carried.result.outcome is (Outcome.FAILED if kind is Ghost else Outcome.VANISHED)
