"""The sink that copies: retries, names that are taken, sources that go away, publishing that fails, and what ends a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from migrator.core.entities import Entry, RawFile
from migrator.core.errors import (
    AccessDenied,
    AlreadyThere,
    BucketMissing,
    MigratorError,
    MustStop,
    NotTheSame,
    SourceChanged,
    StoreError,
    StoreFull,
    Unavailable,
    Unreadable,
    Vanished,
)
from migrator.core.outcomes import Action, Outcome, Step
from migrator.core.protocols import Content, Moved, Receipt, SinkAnswer, Source, Target, ignore_moved
from migrator.sync.totals import Totals
from migrator.transfer.batch_sink import BATCH_FILES
from migrator.transfer.file_copier import FileCopier
from migrator.transfer.retry import REFUSALS_IN_A_ROW
from tests.backends import raw_id
from tests.fakes import Clock, FailingStore, Fault, Schedule, quick_patience
from tests.memory_store import MemoryStore
from tests.passes import Remembered, counts, run_pass, transfer_between

ONE = RawFile("org", raw_id("0001"))
TWO = RawFile("org", raw_id("0002"))
WENT = Unavailable("unreachable", "The server is gone.")
DAMAGED = NotTheSame("damaged-on-the-way", "Other bytes arrived.")
CHANGED = SourceChanged("source-changed", "It changed.")
GONE = Vanished("vanished", "It is gone.")
UNREADABLE = Unreadable("unreadable", "It may not be read.")
TAKEN = AlreadyThere("already-there", "It appeared meanwhile.")


def source_with(*raw_files: RawFile, data: bytes = b"content") -> MemoryStore:
    made = MemoryStore()
    for raw_file in raw_files:
        made.save(raw_file, data)
    return made


def failing(
    store: Target | None = None,
    at: Mapping[tuple[str, int], Fault] | None = None,
    always: Mapping[str, MigratorError] | None = None,
) -> FailingStore:
    return FailingStore(store or MemoryStore(), Schedule(at or {}, always or {}))


def at_first(method: str, fault: Fault, times: int = 1) -> dict[tuple[str, int], Fault]:
    return {(method, number): fault for number in range(1, times + 1)}


# --- trying again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["open", "read", "finish"])
@pytest.mark.parametrize("fault", [WENT, CHANGED, DAMAGED])
def test_a_fault_of_the_source_that_passes_is_tried_again(method: str, fault: StoreError) -> None:
    here, there = source_with(ONE), MemoryStore()
    assert counts(run_pass(failing(here, at_first(method, fault, 2)), there)) == {"copied": 1}
    assert there.contents() == here.contents()


@pytest.mark.parametrize("method", ["prepare", "store", "adopt"])
@pytest.mark.parametrize("fault", [WENT, DAMAGED])
def test_a_fault_of_the_target_that_passes_is_tried_again(method: str, fault: StoreError) -> None:
    here, there = source_with(ONE), MemoryStore()
    assert counts(run_pass(here, failing(there, at_first(method, fault, 2)))) == {"copied": 1}
    assert there.contents() == here.contents()


@pytest.mark.parametrize("fault", [CHANGED, DAMAGED])
@pytest.mark.parametrize("method", ["finish", "open"])
def test_what_never_holds_still_fails_after_three_tries(method: str, fault: StoreError) -> None:
    here = failing(source_with(ONE), always={method: fault})
    there = MemoryStore()
    totals = run_pass(here, there)
    assert counts(totals) == {"failed": 1}
    assert totals.problems[0].reason == fault.what
    assert here.schedule.calls[method] == 3
    assert there.contents() == {}


def test_a_file_that_grows_while_it_is_read_is_read_again_as_it_is_now() -> None:
    store, there = source_with(ONE, data=b"half"), MemoryStore()
    grow = {("read", 1): lambda: store.save(ONE, b"half and the rest")}
    totals = run_pass(failing(store, grow), there)
    assert counts(totals) == {"copied": 1}
    assert totals.overall()[Outcome.COPIED].bytes == len(b"half and the rest")
    assert there.contents() == store.contents()


def test_a_server_that_stays_away_ends_the_run() -> None:
    there = failing(always={"store": WENT})
    with pytest.raises(MustStop, match="The server is gone") as caught:
        run_pass(source_with(ONE, TWO), there)
    assert "Nothing has succeeded" in caught.value.why


@pytest.mark.parametrize("fault", [UNREADABLE, StoreError("server-refused", "It said no.")])
def test_what_is_for_good_is_tried_once_and_hits_one_raw_file(fault: StoreError) -> None:
    here, there = failing(source_with(ONE, TWO), {("open", 1): fault}), MemoryStore()
    assert counts(run_pass(here, there)) == {"failed": 1, "copied": 1}
    assert here.schedule.calls["open"] == 2


def test_the_unexpected_hits_one_raw_file() -> None:
    def surprise() -> None:
        raise ZeroDivisionError("boom")

    totals = run_pass(failing(source_with(ONE, TWO), {("open", 1): surprise}), MemoryStore())
    assert counts(totals) == {"failed": 1, "copied": 1}
    assert "ZeroDivisionError" in totals.problems[0].reason


# --- vanished --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["open", "read", "finish"])
def test_what_is_deleted_while_this_runs_has_vanished(method: str) -> None:
    store, there = source_with(ONE), MemoryStore()

    def delete() -> None:
        store.delete(ONE)
        raise GONE

    totals = run_pass(failing(store, {(method, 1): delete}), there)
    assert counts(totals) == {"vanished": 1}
    assert there.contents() == {}
    assert totals.overall().is_clean


def test_what_changed_and_is_gone_then_has_vanished() -> None:
    store = source_with(ONE)
    assert counts(run_pass(failing(store, {("finish", 1): lambda: store.delete(ONE)}), MemoryStore())) == {
        "vanished": 1
    }


@pytest.mark.parametrize("method", ["store", "prepare", "adopt"])
def test_what_is_missing_at_the_target_is_no_vanished_raw_file(method: str) -> None:
    """Vanished files are fine; a file that could not be written is not."""
    totals = run_pass(source_with(ONE), failing(always={method: GONE}))
    assert counts(totals) == {"failed": 1}
    assert not totals.overall().is_clean


# --- names that are taken --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"), [(b"content", "copied"), (b"CONTENT", "conflict"), (b"more content", "conflict")]
)
@pytest.mark.parametrize("method", ["store", "publish"])
def test_a_name_that_is_taken_meanwhile(data: bytes, expected: str, method: str) -> None:
    """Equal content is what was wanted, whoever brought it."""
    there = MemoryStore()
    totals = run_pass(source_with(ONE), failing(there, {(method, 1): lambda: there.save(ONE, data)}))
    assert counts(totals) == {expected: 1}
    assert there.contents() == {ONE: data}


def test_a_name_that_was_taken_and_is_free_again_failed() -> None:
    totals = run_pass(source_with(ONE), failing(at={("store", 1): TAKEN}))
    assert counts(totals) == {"failed": 1}
    assert "free again" in totals.problems[0].reason


@pytest.mark.parametrize("method", ["store", "publish"])
def test_a_name_that_is_taken_while_the_source_goes_away(method: str) -> None:
    here, there = source_with(ONE), MemoryStore()

    def both() -> None:
        there.save(ONE, b"another's")
        here.delete(ONE)

    assert counts(run_pass(here, failing(there, {(method, 1): both}))) == {"vanished": 1}
    assert there.contents() == {ONE: b"another's"}


@pytest.mark.parametrize("fault", [UNREADABLE, GONE, CHANGED, WENT])
def test_a_name_that_is_taken_and_cannot_be_looked_at_fails_alone(fault: StoreError) -> None:
    """An error while looking at one raw file does not end the run."""
    there = MemoryStore()
    at: dict[tuple[str, int], Fault] = {("publish", 1): lambda: there.save(ONE, b"CONTENT"), ("stat", 1): fault}
    totals = run_pass(source_with(ONE, TWO), failing(there, at))
    assert sum(counts(totals).values()) == 2
    assert counts(totals)["copied"] == 1
    assert there.contents() == {ONE: b"CONTENT", TWO: b"content"}


# --- publishing ------------------------------------------------------------------------------------------------------


def test_what_publishing_keeps_back_failed_and_the_others_are_there() -> None:
    there = failing(at={("published", 1): UNREADABLE})
    totals = run_pass(source_with(ONE, TWO), there)
    assert counts(totals) == {"failed": 1, "copied": 1}
    assert totals.problems[0].reason == UNREADABLE.what


@pytest.mark.parametrize("method", ["store", "published"])
def test_a_full_target_ends_the_run_and_counts_nothing_twice(method: str) -> None:
    raw_files = [RawFile("org", raw_id(f"{number:04x}")) for number in range(10)]
    here, there = source_with(*raw_files), MemoryStore()
    full = StoreFull("target-full", "No space is left.")
    totals = Totals()
    with pytest.raises(MustStop, match="No space is left") as caught:
        run_pass(here, failing(there, {(method, number): full for number in range(4, 99)}), totals=totals)
    assert caught.value.name == "target-full"
    overall = totals.overall()
    assert overall[Outcome.COPIED].files == len(there.contents()) == 3
    assert overall[Outcome.PENDING].files == 7
    assert overall.discovered.files == 10
    assert counts(run_pass(here, there)) == {"copied": 7, "present": 3}


@pytest.mark.parametrize(
    "fault", [AccessDenied("access-denied", "No right."), BucketMissing("bucket-missing", "None.")]
)
def test_refusals_in_a_row_end_the_run(fault: StoreError) -> None:
    raw_files = [RawFile("org", raw_id(f"{number:04x}")) for number in range(REFUSALS_IN_A_ROW + 10)]
    there = failing(always={"store": fault})
    with pytest.raises(MustStop, match="in a row") as caught:
        run_pass(source_with(*raw_files), there)
    assert caught.value.name == fault.name
    assert there.schedule.calls["store"] <= REFUSALS_IN_A_ROW + 2


def test_a_few_refusals_do_not() -> None:
    raw_files = [RawFile("org", raw_id(f"{number:04x}")) for number in range(REFUSALS_IN_A_ROW)]
    denied = AccessDenied("access-denied", "No right.")
    there = failing(at=at_first("store", denied, REFUSALS_IN_A_ROW - 1))
    assert counts(run_pass(source_with(*raw_files), there)) == {"failed": REFUSALS_IN_A_ROW - 1, "copied": 1}


def test_batches_are_published_when_they_are_full() -> None:
    raw_files = [RawFile("org", raw_id(f"{number:04x}")) for number in range(2 * BATCH_FILES + 1)]
    there = failing()
    assert counts(run_pass(source_with(*raw_files, data=b""), there, jobs=4)) == {"copied": len(raw_files)}
    assert there.schedule.calls["publish"] >= 3
    assert there.schedule.calls["published"] == len(raw_files)


class SlowMedium(MemoryStore):
    """Publishes only when a raw file behind the first batch has been stored: a sink that waits for the medium never gets there."""

    def __init__(self, behind: RawFile) -> None:
        super().__init__()
        self._behind = behind
        self.went_on = threading.Event()
        self.published: list[RawFile] = []

    def store(self, raw_file: RawFile, content: Content) -> Receipt:
        receipt = super().store(raw_file, content)
        if raw_file == self._behind:
            self.went_on.set()
        return receipt

    def publish(self, receipts: Sequence[tuple[RawFile, Receipt]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        assert self.went_on.wait(20)
        for raw_file, error in super().publish(receipts):
            self.published.append(raw_file)
            yield raw_file, error


def test_publishing_holds_nothing_up_and_is_over_before_an_outcome_counts() -> None:
    raw_files = [RawFile("org", raw_id(f"{number:04x}")) for number in range(BATCH_FILES + 20)]
    there = SlowMedium(raw_files[-1])
    memory = Remembered()

    def nothing_counts_before_it_is_published() -> None:
        assert sum(told.tally[Outcome.COPIED].files for told in memory.told) <= len(there.published)

    memory.when_told = nothing_counts_before_it_is_published
    totals = run_pass(source_with(*raw_files, data=b""), there, memory=memory)
    assert counts(totals) == {"copied": len(raw_files)}


# --- each step is answered exactly once ------------------------------------------------------------------------------


class Adopting(FailingStore):
    """A target on the source's own server."""

    def server_side_copy(
        self, raw_file: RawFile, source: Source, entry: Entry, moved: Moved = ignore_moved
    ) -> Receipt | None:
        super().server_side_copy(raw_file, source, entry, moved)
        with source.open(raw_file, entry) as content:
            return self.store(raw_file, content)


def test_what_can_be_adopted_is_not_carried() -> None:
    here, there = failing(source_with(ONE)), MemoryStore()
    assert counts(run_pass(here, Adopting(there, Schedule()))) == {"copied": 1}
    assert here.schedule.calls["open"] == 1
    assert there.contents() == {ONE: b"content"}


@pytest.mark.parametrize("jobs", [1, 4])
def test_each_step_is_answered_once_with_its_ticket(jobs: int) -> None:
    raw_files = [RawFile("org", raw_id(f"{number:04x}")) for number in range(50)]
    here, there = source_with(*raw_files), MemoryStore()
    transfer = transfer_between(here, there, jobs=jobs)
    waiting = list(raw_files)
    answers: list[SinkAnswer] = []
    while len(answers) < len(raw_files):
        while waiting and transfer.has_room:
            raw_file = waiting.pop()
            entry = here.stat(raw_file)
            assert entry is not None
            transfer.submit(raw_file, "org", Step(Action.COPY, entry, None))
        answers += transfer.answers(flush=not waiting)
    transfer.close()
    assert sorted(answer.ticket for answer in answers) == sorted(raw_files)  # type: ignore[type-var]
    for answer in answers:
        assert isinstance(answer.ticket, RawFile)
        found = there.stat(answer.ticket)
        assert found is not None
        assert (answer.result.outcome, answer.result.version) == (Outcome.COPIED, found.version)
        assert answer.stop is None
    assert there.contents() == here.contents()


def test_patience_is_told_of_every_success() -> None:
    """Else a run of many files would stop at the first hiccup after a while."""
    patience = quick_patience(seconds=1, at_first=0)
    here = failing(source_with(ONE, TWO), {("open", 2): WENT})
    assert counts(run_pass(here, MemoryStore(), patience=patience)) == {"copied": 2}


# --- names that are taken, and sources that go, at the same moment ---------------------------------------------------


def test_a_name_that_was_taken_of_a_raw_file_that_is_gone_by_now_is_a_vanished_one() -> None:
    store = source_with(ONE)
    there = failing(at={("store", 1): TAKEN})
    here = failing(store, {("stat", 1): lambda: store.delete(ONE)})
    totals = run_pass(here, there)
    assert counts(totals) == {"vanished": 1}


def test_a_name_that_was_taken_and_is_free_again_is_a_failure_that_says_so() -> None:
    totals = run_pass(source_with(ONE), failing(at={("store", 1): TAKEN}))
    assert counts(totals) == {"failed": 1}
    assert totals.problems[0].reason == "the target's name was taken, and then free again"


def test_when_the_source_cannot_be_asked_what_became_of_a_raw_file_it_failed() -> None:
    here = failing(source_with(ONE), {("open", 1): GONE, ("stat", 1): UNREADABLE})
    totals = run_pass(here, MemoryStore())
    assert counts(totals) == {"failed": 1}
    assert totals.problems[0].reason == UNREADABLE.what


def test_when_asking_ends_the_run_the_raw_file_is_pending() -> None:
    stop = MustStop("stopped", "It has to stop.")
    here = failing(source_with(ONE), {("open", 1): GONE, ("stat", 1): stop})
    totals = Totals()
    with pytest.raises(MustStop, match="It has to stop"):
        run_pass(here, MemoryStore(), totals=totals)
    assert counts(totals) == {"pending": 1}


def test_what_the_source_has_after_a_change_is_what_is_told_gone() -> None:
    """Changed while it was read, and gone when it was looked at again."""
    store = source_with(ONE)
    here = failing(store, {("finish", 1): CHANGED, ("stat", 1): lambda: store.delete(ONE)})
    totals = run_pass(here, MemoryStore())
    assert counts(totals) == {"vanished": 1}


def test_a_provisional_copy_that_someone_replaced_meanwhile_is_a_conflict() -> None:
    clock, memory = Clock(), Remembered()
    here = MemoryStore(clock_ns=clock.ns, index_folders=True, etags=False)
    there = MemoryStore()
    here.save(ONE, b"half")
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    assert memory.copies, "young, and so provisional"
    clock.advance(100)
    here.save(ONE, b"half and the rest")
    clock.advance(100)
    totals = run_pass(here, failing(there, {("replace", 1): TAKEN}), memory=memory, clock=clock, settle=30)
    assert counts(totals) == {"conflict": 1}
    assert there.contents() == {ONE: b"half"}


def test_what_ends_a_copying_thread_ends_who_waits_for_it() -> None:
    lane = FileCopier(failing(source_with(ONE), {("open", 1): _exit}), MemoryStore(), jobs=1, patience=quick_patience())
    entry = source_with(ONE).stat(ONE)
    assert entry is not None
    lane.submit("ticket", "org", Step(Action.COPY, entry, None))
    with pytest.raises(SystemExit):
        list(lane.carried(10))
    lane.close()


def _exit() -> None:
    raise SystemExit(1)
