"""The careful lane alone: each way that a raw file can go gives one answer, with all that it has to say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from migrator.errors import AlreadyThere, StoreError, Vanished
from migrator.model import Action, Entry, Outcome, RawFile, Result, Step
from migrator.protocols import Answer, Content
from migrator.stores.memory import MemoryStore
from migrator.transfer.careful import CarefulLane, Carried, Stored
from migrator.transfer.parts import WHOLE_UP_TO
from tests.backends import raw_id
from tests.fakes import FailingStore, Fault, Schedule, quick_patience

ONE = RawFile("org", raw_id("0001"))
TICKET = "ticket"
TAKEN = AlreadyThere("already-there", "It exists by now.")


def store_of(data: bytes | None) -> MemoryStore:
    made = MemoryStore(etags=False)
    if data is not None:
        made.save(ONE, data)
    return made


def entry_of(store: MemoryStore) -> Entry:
    entry = store.look(ONE)
    assert entry is not None
    return entry


def carried_by(
    source: MemoryStore | FailingStore, target: MemoryStore | FailingStore, step: Step, *, jobs: int = 1
) -> Carried:
    lane = CarefulLane(source, target, jobs=jobs, patience=quick_patience())
    lane.submit(TICKET, "org", step)
    [carried] = lane.carried(10)
    lane.close()
    assert lane.under_way == 0
    return carried


def test_a_provisional_copy_of_ours_is_replaced_by_what_is_there_now() -> None:
    here, there = store_of(b"half and the rest"), store_of(b"half")
    then, theirs = entry_of(here), entry_of(there)
    carried = carried_by(here, there, Step(Action.DIFFER, then, theirs, theirs.mark))
    assert isinstance(carried, Stored)
    assert (carried.ticket, carried.raw_file) == (TICKET, ONE)
    assert carried.result == Result(then, Outcome.COPIED)
    assert list(there.publish([(carried.raw_file, carried.receipt)])) == [(ONE, None)]
    assert there.contents() == {ONE: b"half and the rest"}


def test_what_is_not_our_own_any_more_is_not_replaced() -> None:
    here, there = store_of(b"half and the rest"), store_of(b"half")
    step = Step(Action.DIFFER, entry_of(here), entry_of(there), entry_of(there).mark)
    failing = FailingStore(there, Schedule({("replace", 1): TAKEN}))
    carried = carried_by(here, failing, step)
    assert carried == Answer(TICKET, Result(step.source, Outcome.CONFLICT, carried.result.reason))
    assert carried.result.reason
    assert there.contents() == {ONE: b"half"}


@pytest.mark.parametrize(
    ("theirs", "outcome"),
    [(b"content", Outcome.PRESENT), (b"CONTENT", Outcome.CONFLICT), (b"contents", Outcome.CONFLICT)],
)
def test_what_is_to_be_compared_is_compared(theirs: bytes, outcome: Outcome) -> None:
    here, there = store_of(b"content"), store_of(theirs)
    step = Step(Action.COMPARE, entry_of(here), entry_of(there))
    carried = carried_by(here, there, step)
    assert carried.result.outcome is outcome
    assert bool(carried.result.reason) is (outcome is Outcome.CONFLICT)


@pytest.mark.parametrize(("theirs", "outcome"), [(b"content", Outcome.COPIED), (b"CONTENT", Outcome.CONFLICT)])
def test_a_name_that_was_taken_meanwhile_is_answered_with_what_is_there_now(theirs: bytes, outcome: Outcome) -> None:
    here, there = store_of(b"content"), store_of(theirs)
    old = entry_of(here)._replace(size=3)
    failing = FailingStore(there, Schedule({("store", 1): TAKEN}))
    carried = carried_by(here, failing, Step(Action.COPY, old, None))
    assert isinstance(carried, Answer)
    assert carried.ticket == TICKET
    assert carried.result.outcome is outcome
    assert carried.result.entry == entry_of(here), "as it is, not as it was listed"
    if outcome is Outcome.COPIED:
        assert carried.result.mark == entry_of(there).mark
    else:
        assert carried.result.reason


def test_a_name_that_was_taken_of_what_is_gone_says_so() -> None:
    here = store_of(b"content")
    there = FailingStore(store_of(None), Schedule({("store", 1): TAKEN}))
    step = Step(Action.COPY, entry_of(here), None)
    carried = carried_by(FailingStore(here, Schedule({("look", 1): lambda: here.delete(ONE)})), there, step)
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
    result = carried_by(here, store_of(None), step).result
    assert (result.outcome, result.code) == (Outcome.VANISHED, "vanished")
    assert result.reason


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
    lane = CarefulLane(store_of(None), store_of(None), jobs=2, patience=quick_patience())
    for under_way, has_room in ((0, True), (3, True), (4, False)):
        lane.under_way = under_way
        assert lane.has_room is has_room
    lane.close()
