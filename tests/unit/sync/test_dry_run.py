"""The sink of a dry run: an outcome for each step, by what was listed alone."""

from __future__ import annotations

import pytest

from migrator.core.entities import Entry, RawFile
from migrator.core.outcomes import Action, Outcome, Step
from migrator.core.protocols import Sink
from migrator.sync.dry_run import Rehearse
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule
from tests.memory_store import MemoryStore

ONE, TWO = RawFile("org", raw_id("0001")), RawFile("org", raw_id("0002"))


@pytest.mark.parametrize(
    ("action", "own_version", "expected"),
    [
        (Action.COPY, None, Outcome.MISSING),
        (Action.COMPARE, None, Outcome.PRESENT),
        (Action.DIFFER, "mark", Outcome.MISSING),
    ],
)
def test_outcomes(action: Action, own_version: str | None, expected: Outcome) -> None:
    store = FailingStore(MemoryStore(), Schedule())
    there = None if action is Action.COPY else Entry(ONE.raw_id, 1, "mark")
    sink: Sink = Rehearse(store)
    entry = MemoryStore().save(ONE, b"xy")
    store._store.save(ONE, b"xy")  # type: ignore[attr-defined]
    sink.submit("ticket", "org", Step(action, entry, there, own_version))
    [answer] = sink.answers(flush=True)
    assert (answer.ticket, answer.result.entry, answer.result.outcome) == ("ticket", entry, expected)
    assert answer.stop is None
    assert not store.schedule.calls, "nothing is opened and nothing is asked of the store"
    sink.close()


def test_what_may_not_be_read_would_fail() -> None:
    store = MemoryStore()
    entry = store.save(ONE, b"x")
    store.unreadable.add(ONE)
    sink = Rehearse(store)
    sink.submit(1, "org", Step(Action.COPY, entry, None))
    [answer] = sink.answers(flush=False)
    assert answer.result.outcome is Outcome.FAILED
    assert answer.result.reason


def test_there_is_room_until_answers_are_taken() -> None:
    store = MemoryStore()
    entry = store.save(ONE, b"x")
    sink = Rehearse(store)
    submitted = 0
    while sink.has_room:
        sink.submit(submitted, "org", Step(Action.COPY, entry, None))
        submitted += 1
    assert [answer.ticket for answer in sink.answers(flush=False)] == list(range(submitted))
    assert sink.has_room
    assert list(sink.answers(flush=True)) == []
