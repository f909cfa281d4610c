"""The sink between two lanes that do as they are told: who waits how long, what makes a batch, and what an answer carries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrator.errors import AlreadyThere, StoreError
from migrator.model import Action, Entry, Outcome, RawFile, Result, Step
from migrator.protocols import Answer, Receipt
from migrator.stores.memory import MemoryStore
from migrator.transfer import sink
from migrator.transfer.careful import CarefulLane, Carried, Stored
from migrator.transfer.sink import Transfer
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule, quick_patience

TICKET = object()
RAW_FILES = [RawFile("org", raw_id(f"{number:04x}")) for number in range(8)]


class Lane:
    """Carries what it is given to carry; knows how long it was waited for."""

    def __init__(self) -> None:
        self.to_carry: list[Carried] = []
        self.under_way = 0
        self.waited: list[float] = []
        self.given: list[tuple[object, str, Step]] = []
        self.asked: list[Step] = []

    has_room = True

    def takes(self, step: Step) -> bool:
        self.asked.append(step)
        return True

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        self.given.append((ticket, organization, step))

    def carried(self, timeout: float) -> Iterator[Carried]:
        self.waited.append(timeout)
        carried, self.to_carry = self.to_carry, []
        yield from carried

    def others_succeed(self) -> None:
        """Nobody counts here."""

    def close(self) -> None:
        """Nothing is open."""


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
    entry = source.look(raw_file)
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
    transfer = Transfer(MemoryStore(), careful, bulk)  # type: ignore[arg-type]
    step = Step(Action.COPY, Entry(raw_id("1"), 7, 0), None)
    transfer.submit(TICKET, "org", step)
    assert bulk.asked == [step]
    assert bulk.given == [(TICKET, "org", step)]
    assert careful.given == []
    transfer.close()


@pytest.mark.parametrize(
    ("careful_under_way", "bulk_under_way", "careful_waits", "bulk_waits"),
    [(0, 0, 0.05, 0.05), (1, 0, 0.05, 0.005), (0, 1, 0, 0.05), (1, 1, 0, 0.005)],
)
def test_nobody_waits_for_one_lane_while_the_other_works(
    careful_under_way: int, bulk_under_way: int, careful_waits: float, bulk_waits: float
) -> None:
    careful, bulk = Lane(), Lane()
    careful.under_way, bulk.under_way = careful_under_way, bulk_under_way
    transfer = Transfer(MemoryStore(), careful, bulk)  # type: ignore[arg-type]
    assert list(transfer.answers(flush=False)) == []
    assert (careful.waited, bulk.waited) == ([careful_waits], [bulk_waits])
    transfer.close()
    alone = Lane()
    transfer = Transfer(MemoryStore(), alone, None)  # type: ignore[arg-type]
    assert list(transfer.answers(flush=False)) == []
    assert alone.waited == [0.05]
    transfer.close()


def test_an_answer_among_what_was_carried_hides_nothing_that_comes_after_it(target: Published) -> None:
    careful = Lane()
    answer = Answer(TICKET, Result(Entry(raw_id("1"), 7, 0), Outcome.PRESENT))
    careful.to_carry = [answer, stored(target, RAW_FILES[0]), answer, stored(target, RAW_FILES[1])]
    transfer = Transfer(target, careful, None)  # type: ignore[arg-type]
    answers = list(transfer.answers(flush=True))
    assert [each.result.outcome for each in answers].count(Outcome.PRESENT) == 2
    assert [each.result.outcome for each in answers].count(Outcome.COPIED) == 2
    assert target.batches == [2]
    transfer.close()


def test_a_batch_is_full_by_bytes_to_the_byte_and_the_next_one_begins_at_none(
    target: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "BATCH_BYTES", 100)
    careful = Lane()
    careful.to_carry = [
        stored(target, each, size) for each, size in zip(RAW_FILES, (50, 49, 1, 99, 1, 5), strict=False)
    ]
    transfer = Transfer(target, careful, None)  # type: ignore[arg-type]
    answers = list(transfer.answers(flush=True))
    assert target.batches == [3, 2, 1]
    assert len(answers) == 6
    transfer.close()


@pytest.mark.parametrize("busy", ["careful", "bulk"])
def test_what_is_flushed_waits_until_both_lanes_are_idle(target: Published, busy: str) -> None:
    careful, bulk = Lane(), Lane()
    careful.to_carry = [stored(target, RAW_FILES[0])]
    (careful if busy == "careful" else bulk).under_way = 1
    transfer = Transfer(target, careful, bulk)  # type: ignore[arg-type]
    assert list(transfer.answers(flush=True)) == []
    assert target.batches == []
    careful.under_way = bulk.under_way = 0
    assert [each.result.outcome for each in transfer.answers(flush=True)] == [Outcome.COPIED]
    transfer.close()


def test_what_cannot_be_told_of_a_taken_name_is_a_failure_with_all_that_the_server_said(target: Published) -> None:
    fault = StoreError("server-refused", "It said no.")
    fault.request_id = "request-1"
    source = FailingStore(MemoryStore(), Schedule(always={"look": fault}))
    there = FailingStore(target, Schedule({("published", 1): AlreadyThere("already-there", "Taken.")}))
    careful = CarefulLane(source, there, jobs=1, patience=quick_patience())
    transfer = Transfer(there, careful, None)
    carried = stored(target, RAW_FILES[0])
    careful._done.put(carried)
    careful.under_way = 1
    [answer] = [*transfer.answers(flush=True), *transfer.answers(flush=True)]
    expected = (Outcome.FAILED, "It said no.", "server-refused", "request-1")
    result = answer.result
    assert (result.outcome, result.reason, result.code, result.request_id) == expected
    assert answer.ticket is TICKET
    transfer.close()
