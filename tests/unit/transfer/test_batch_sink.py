"""The sink between two lanes that do as they are told: who waits how long, what makes a batch, and what an answer carries."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import pytest

from migrator.core.entities import Entry, RawFile
from migrator.core.errors import (
    AlreadyThere,
    Interrupted,
    MigratorError,
    MustStop,
    OutOfPatience,
    StoreError,
    StoreFull,
)
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.core.protocols import Receipt, SinkAnswer
from migrator.transfer import batch_sink
from migrator.transfer.batch_sink import BatchSink
from migrator.transfer.file_copier import Carried, FileCopier, Stored
from tests.backends import raw_id
from tests.fakes import Clock, FailingStore, Schedule, quick_patience
from tests.memory_store import MemoryStore

TICKET = object()
RAW_FILES = [RawFile("org", raw_id(f"{number:04x}")) for number in range(8)]


class Lane:
    """Carries what it is given to carry; knows how long it was waited for."""

    def __init__(self) -> None:
        self.to_carry: list[Carried | tuple[object, str, Step]] = []
        self.under_way = 0
        self.waited: list[float] = []
        self.given: list[tuple[object, str, Step]] = []
        self.has_room = True
        self.wants = True
        self.was_closed = False
        self.closed: set[str] = set()

    def submit(self, ticket: object, organization: str, step: Step) -> bool:
        if self.wants:
            self.given.append((ticket, organization, step))
        return self.wants

    def carried(self, timeout: float) -> list[Carried | tuple[object, str, Step]]:
        self.waited.append(timeout)
        carried, self.to_carry = self.to_carry, []
        return carried

    def close(self) -> None:
        self.was_closed = True


class Published(MemoryStore):
    """A target that knows the batches that it published."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def publish(self, receipts: list[tuple[RawFile, Receipt]] | object) -> Iterator[tuple[RawFile, StoreError | None]]:
        receipts = list(receipts)  # type: ignore[call-overload]
        self.batches.append(len(receipts))
        return super().publish(receipts)


def stored(target: MemoryStore, raw_file: RawFile, size: int = 7) -> Stored:
    """Content that arrived, of a raw file that is said to have this size."""
    source = MemoryStore()
    source.save(raw_file, b"content")
    entry = source.stat(raw_file)
    assert entry is not None
    with source.open(raw_file, entry) as content:
        receipt = target.store(raw_file, content)
    return Stored(TICKET, raw_file, Result(entry._replace(size=size), Outcome.COPIED), receipt)


@pytest.fixture
def target() -> Published:
    made = Published()
    made.prepare("org")
    return made


def test_the_bulk_lane_is_given_what_it_takes() -> None:
    careful, bulk = Lane(), Lane()
    transfer = BatchSink(MemoryStore(), careful, bulk)  # type: ignore[arg-type]
    step = Step(Action.COPY, Entry(raw_id("1"), 7, 0), None)
    transfer.submit(TICKET, "org", step)
    assert bulk.given == [(TICKET, "org", step)]
    assert careful.given == []
    bulk.wants = False
    transfer.submit(TICKET, "org", step)
    assert (len(bulk.given), careful.given) == (1, [(TICKET, "org", step)])
    bulk.wants, careful.closed = True, {"closed"}
    transfer.submit(TICKET, "closed", step)
    assert (len(bulk.given), len(careful.given)) == (1, 2), "it fails there, without a request"
    transfer.close()
    alone = Lane()
    transfer = BatchSink(MemoryStore(), alone, None)  # type: ignore[arg-type]
    transfer.submit(TICKET, "org", step)
    assert alone.given == [(TICKET, "org", step)]
    transfer.close()


def test_what_the_bulk_lane_answers_stores_and_declines_goes_each_its_way(target: Published) -> None:
    careful, bulk = Lane(), Lane()
    answer = SinkAnswer(TICKET, Result(Entry(raw_id("1"), 7, 0), Outcome.PRESENT))
    declined = (TICKET, "org", Step(Action.COPY, Entry(raw_id("2"), 7, 0), None))
    bulk.to_carry = [answer, declined, stored(target, RAW_FILES[0])]
    transfer = BatchSink(target, careful, bulk)  # type: ignore[arg-type]
    answers = list(transfer.answers(flush=True))
    assert answers[0] == answer
    assert [each.result.outcome for each in answers[1:]] == [Outcome.COPIED]
    assert careful.given == [declined]
    transfer.close()


def test_there_is_room_where_both_lanes_have_some() -> None:
    careful, bulk = Lane(), Lane()
    both, alone = (BatchSink(MemoryStore(), careful, each) for each in (bulk, None))  # type: ignore[arg-type]
    for careful.has_room, bulk.has_room, of_both, of_one in (
        (True, True, True, True),
        (True, False, False, True),
        (False, True, False, False),
    ):
        assert (both.has_room, alone.has_room) == (of_both, of_one)
    both.close()
    alone.close()


@pytest.mark.parametrize(
    ("careful_under_way", "bulk_under_way", "careful_waits", "bulk_waits"),
    [(0, 0, 0.05, 0.05), (1, 0, 0.05, 0.005), (0, 1, 0, 0.05), (1, 1, 0, 0.005)],
)
def test_nobody_waits_for_one_lane_while_the_other_works(
    careful_under_way: int, bulk_under_way: int, careful_waits: float, bulk_waits: float
) -> None:
    careful, bulk = Lane(), Lane()
    careful.under_way, bulk.under_way = careful_under_way, bulk_under_way
    transfer = BatchSink(MemoryStore(), careful, bulk)  # type: ignore[arg-type]
    assert list(transfer.answers(flush=False)) == []
    assert (careful.waited, bulk.waited) == ([careful_waits], [bulk_waits])
    transfer.close()
    alone = Lane()
    transfer = BatchSink(MemoryStore(), alone, None)  # type: ignore[arg-type]
    assert list(transfer.answers(flush=False)) == []
    assert alone.waited == [0.05]
    transfer.close()


def test_an_answer_among_what_was_carried_hides_nothing_that_comes_after_it(target: Published) -> None:
    careful = Lane()
    answer = SinkAnswer(TICKET, Result(Entry(raw_id("1"), 7, 0), Outcome.PRESENT))
    careful.to_carry = [answer, stored(target, RAW_FILES[0]), answer, stored(target, RAW_FILES[1])]
    transfer = BatchSink(target, careful, None)  # type: ignore[arg-type]
    answers = list(transfer.answers(flush=True))
    assert [each.result.outcome for each in answers].count(Outcome.PRESENT) == 2
    assert [each.result.outcome for each in answers].count(Outcome.COPIED) == 2
    assert target.batches == [2]
    transfer.close()


def test_a_batch_is_full_by_bytes_to_the_byte_and_the_next_one_begins_at_none(
    target: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_sink, "BATCH_BYTES", 100)
    careful = Lane()
    careful.to_carry = [
        stored(target, each, size) for each, size in zip(RAW_FILES, (50, 49, 1, 99, 1, 5), strict=False)
    ]
    transfer = BatchSink(target, careful, None)  # type: ignore[arg-type]
    answers = list(transfer.answers(flush=True))
    assert target.batches == [3, 2, 1]
    assert len(answers) == 6
    transfer.close()


@pytest.mark.parametrize("busy", ["careful", "bulk"])
def test_what_is_flushed_waits_until_both_lanes_are_idle(target: Published, busy: str) -> None:
    careful, bulk = Lane(), Lane()
    careful.to_carry = [stored(target, RAW_FILES[0])]
    (careful if busy == "careful" else bulk).under_way = 1
    transfer = BatchSink(target, careful, bulk)  # type: ignore[arg-type]
    assert list(transfer.answers(flush=True)) == []
    assert target.batches == []
    careful.under_way = bulk.under_way = 0
    assert [each.result.outcome for each in transfer.answers(flush=True)] == [Outcome.COPIED]
    transfer.close()


REFUSED = StoreError("server-refused", "It said no.")
REFUSED.request_id = "request-1"
TAKEN = AlreadyThere("already-there", "Taken.")
GONE = OutOfPatience("unreachable", "The server is gone.")


def answer_where(
    target: Published, *, published: StoreError, looked: MigratorError | None = None
) -> tuple[SinkAnswer, Entry]:
    """What is answered where publishing answers an error, and looking at the name fails with another; and what was stored."""
    source = FailingStore(MemoryStore(), Schedule(always={"stat": looked} if looked is not None else {}))
    there = FailingStore(target, Schedule({("published", 1): published}))
    careful = FileCopier(source, there, jobs=1, patience=quick_patience())
    transfer = BatchSink(there, careful, None)
    carried = stored(target, RAW_FILES[0])
    careful._done.put(carried)
    careful.under_way = 1
    [answer] = [*transfer.answers(flush=True), *transfer.answers(flush=True)]
    transfer.close()
    return answer, carried.result.entry


def test_what_cannot_be_told_of_a_taken_name_is_a_failure_with_all_that_the_server_said(target: Published) -> None:
    answer, entry = answer_where(target, published=TAKEN, looked=REFUSED)
    result = Result(entry, Outcome.FAILED, "It said no.", code="server-refused", request_id="request-1")
    assert answer == SinkAnswer(TICKET, result)


def test_what_ends_the_run_while_a_taken_name_is_looked_at_ends_it_in_its_own_words(target: Published) -> None:
    """The raw file is pending; raised instead, it would be something unexpected, and the batch's other answers lost."""
    answer, entry = answer_where(target, published=TAKEN, looked=GONE)
    assert answer == SinkAnswer(TICKET, Result(entry, Outcome.PENDING, "The server is gone."), GONE)


def test_a_run_that_is_to_stop_while_a_taken_name_is_looked_at_leaves_it_pending(target: Published) -> None:
    answer, entry = answer_where(target, published=TAKEN, looked=Interrupted("interrupted", "Asked to stop."))
    assert answer == SinkAnswer(TICKET, Result(entry, Outcome.PENDING, "Asked to stop."), None)


def test_what_publishing_refuses_failed_with_all_that_the_server_said(target: Published) -> None:
    answer, entry = answer_where(target, published=REFUSED)
    result = Result(entry, Outcome.FAILED, "It said no.", code="server-refused", request_id="request-1")
    assert answer == SinkAnswer(TICKET, result)


def test_a_medium_that_is_full_when_it_publishes_ends_the_run(target: Published) -> None:
    answer, entry = answer_where(target, published=StoreFull("target-full", "No space is left."))
    assert (answer.ticket, answer.result) == (TICKET, Result(entry, Outcome.PENDING, "No space is left."))
    assert isinstance(answer.stop, MustStop)
    assert answer.stop.name == "target-full"


# --- the thread that publishes ---------------------------------------------------------------------------------------


class Held(Published):
    """A target that publishes when it may, and knows in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.may_publish = threading.Event()
        self.threads: list[str] = []

    def publish(self, receipts: Sequence[tuple[RawFile, Receipt]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        self.threads.append(threading.current_thread().name)
        assert self.may_publish.wait(10)
        return super().publish(receipts)


def test_nobody_waits_for_the_medium_and_what_it_took_is_answered_at_the_next_occasion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_sink, "BATCH_FILES", 2)
    careful, target = Lane(), Held()
    transfer = BatchSink(target, careful, None)  # type: ignore[arg-type]
    carried = [stored(target, each) for each in RAW_FILES[:2]]
    careful.to_carry = list(carried)
    careful.under_way = 1
    assert list(transfer.answers(flush=True)) == [], "the batch is full and on its way"
    assert list(transfer.answers(flush=True)) == [], "and still is"
    target.may_publish.set()
    transfer._publisher.submit(int).result()  # behind it
    marked = [each.result._replace(version=each.receipt.version) for each in carried]
    assert list(transfer.answers(flush=False)) == [SinkAnswer(TICKET, result) for result in marked]
    assert list(transfer.answers(flush=False)) == [], "once"
    assert [name.partition("_")[0] for name in target.threads] == ["publish"]
    transfer.close()


def test_one_batch_is_published_after_the_other() -> None:
    """Whoever is asked to flush waits for all of them."""
    careful, target = Lane(), Held()
    transfer = BatchSink(target, careful, None)  # type: ignore[arg-type]
    target.may_publish.set()
    for raw_file in RAW_FILES[:3]:
        careful.to_carry = [stored(target, raw_file)]
        assert [answer.result.entry.raw_id for answer in transfer.answers(flush=True)] == [raw_file.raw_id]
    assert target.batches == [1, 1, 1]
    assert len(set(target.threads)) == 1
    transfer.close()


def test_a_batch_does_not_wait_longer_than_a_second_to_be_full(
    target: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its first raw file on; and the next batch has a second of its own."""
    clock = Clock()
    monkeypatch.setattr(batch_sink, "time", SimpleNamespace(monotonic=clock))
    careful = Lane()
    careful.under_way = 1
    transfer = BatchSink(target, careful, None)  # type: ignore[arg-type]
    for raw_file, seconds, batches in zip(
        RAW_FILES, (0.0, 0.5, 0.5, 0.25, 0.75, 0.5), ([], [], [], [4], [4], [4]), strict=False
    ):
        clock.advance(seconds)
        careful.to_carry = [stored(target, raw_file)]
        list(transfer.answers(flush=False))
        transfer._publisher.submit(int).result()
        assert target.batches == batches
    clock.advance(0.75)
    list(transfer.answers(flush=False))
    transfer._publisher.submit(int).result()
    assert target.batches == [4, 2]
    transfer.close()


def test_closed_it_leaves_no_thread_and_no_lane_open(target: Published) -> None:
    careful, bulk = Lane(), Lane()
    careful.to_carry = [stored(target, RAW_FILES[0])]
    before = set(threading.enumerate())
    transfer = BatchSink(target, careful, bulk)  # type: ignore[arg-type]
    list(transfer.answers(flush=True))
    assert set(threading.enumerate()) - before, "one publishes"
    transfer.close()
    assert set(threading.enumerate()) <= before
    assert (careful.was_closed, bulk.was_closed) == (True, True)
