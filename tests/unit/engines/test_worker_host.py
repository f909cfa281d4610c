"""A run's place in a worker process of others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from migrator.core.cancellation import Flag
from migrator.core.entities import RawFile, UnfinishedUpload
from migrator.core.errors import CannotStart, Interrupted
from migrator.engines.single_thread import UnitQueue
from migrator.engines.worker_host import (
    Abandoned,
    Acknowledge,
    Admit,
    Began,
    FromStation,
    Said,
    Station,
    Stop,
    refusal_of,
)
from migrator.sync.channel import Line
from migrator.sync.messages import ProgressEvent, Survey, UnitEnded, UploadBegan
from tests.backends import raw_id

UPLOAD = UnfinishedUpload("acme", raw_id("a1"), "bucket", "key", "id-1", 8, "stamp", 0.0)


def echo(stopping: Flag, units: UnitQueue, line: Line) -> None:
    """Tells each unit's organization, and that it ended; begins an upload for the organization "large"."""
    while (unit := units.take(wait=True)) is not None:
        assert isinstance(unit, Survey)
        if unit.organization == "large" and line.unfinished(RawFile("acme", UPLOAD.raw_id)) is None:
            try:
                line.began(UPLOAD)
            except Interrupted:
                line.send(ProgressEvent(organization="interrupted", unit=unit.number))
        line.send(ProgressEvent(organization=unit.organization, unit=unit.number))
        line.send(UnitEnded(unit=unit.number))


class Coordinator:
    """The other end: what was said, and callers in threads of their own."""

    def __init__(self) -> None:
        self.said: queue.SimpleQueue[FromStation] = queue.SimpleQueue()
        self.station = Station(echo, self.said.put)
        self.wanted = threading.Event()
        self.wanted.set()
        self.left: queue.SimpleQueue[str] = queue.SimpleQueue()

    def bring(self, organization: str, number: int = 1) -> Began:
        def call() -> None:
            try:
                self.station.carry_out(number, 1, Survey(organization), is_wanted=self.wanted.is_set)
            except Abandoned:
                self.left.put("abandoned")
            else:
                self.left.put("done")

        threading.Thread(target=call, daemon=True).start()
        began = self.next()
        assert isinstance(began, Began)
        assert began.number == number
        return began

    def next(self) -> FromStation:
        return self.said.get(timeout=20)

    def how_it_left(self) -> str:
        return self.left.get(timeout=20)


@pytest.fixture
def coordinator() -> Iterator[Coordinator]:
    made = Coordinator()
    yield made
    made.station.abandon()


def test_a_unit_begins_when_it_is_admitted_and_its_events_bear_its_attempt(coordinator: Coordinator) -> None:
    first, second = coordinator.bring("one", 1), coordinator.bring("two", 2)
    assert first.attempt != second.attempt
    assert coordinator.said.empty()
    for began, organization in ((second, "two"), (first, "one")):
        coordinator.station.receive(Admit(began.attempt, ()))
        assert coordinator.next() == Said(began.attempt, ProgressEvent(organization=organization))
        assert coordinator.next() == Said(began.attempt, UnitEnded())
        assert coordinator.how_it_left() == "done"


def test_who_is_not_admitted_leaves_without_a_word(coordinator: Coordinator) -> None:
    coordinator.station.receive(Admit(coordinator.bring("one").attempt, None))
    assert coordinator.how_it_left() == "done"
    assert coordinator.said.empty()


def test_an_upload_waits_until_it_is_durable(coordinator: Coordinator) -> None:
    began = coordinator.bring("large")
    coordinator.station.receive(Admit(began.attempt, ()))
    said = coordinator.next()
    assert said == Said("", UploadBegan(UPLOAD, 0, 1))
    assert coordinator.said.empty()
    coordinator.station.receive(Acknowledge(1))
    assert coordinator.next() == Said(began.attempt, ProgressEvent(organization="large"))


def test_an_upload_of_an_attempt_before_is_known(coordinator: Coordinator) -> None:
    began = coordinator.bring("large")
    coordinator.station.receive(Admit(began.attempt, (UPLOAD,)))
    assert coordinator.next() == Said(began.attempt, ProgressEvent(organization="large"))


def test_asked_to_stop_it_drains(coordinator: Coordinator) -> None:
    began = coordinator.bring("large")
    coordinator.station.receive(Admit(began.attempt, ()))
    coordinator.next()
    coordinator.station.receive(Stop())
    assert coordinator.next() == Said(began.attempt, ProgressEvent(organization="interrupted"))
    assert coordinator.next() == Said(began.attempt, ProgressEvent(organization="large"))
    assert coordinator.next() == Said(began.attempt, UnitEnded())


def test_when_nobody_wants_it_any_more_it_says_nothing_of_outcomes(coordinator: Coordinator) -> None:
    began = coordinator.bring("large")
    coordinator.station.receive(Admit(began.attempt, ()))
    coordinator.next()
    coordinator.wanted.clear()
    assert coordinator.how_it_left() == "abandoned"
    assert coordinator.said.empty()


def test_a_worker_loop_that_is_gone_is_told_by_leaving() -> None:
    def dies(stopping: Flag, units: UnitQueue, line: Line) -> None:
        units.take(wait=True)

    coordinator = Coordinator()
    coordinator.station = Station(dies, coordinator.said.put)
    coordinator.station.receive(Admit(coordinator.bring("one").attempt, ()))
    assert coordinator.how_it_left() == "abandoned"


def test_a_refusal_is_a_value() -> None:
    error = CannotStart("name", "what")

    def refuses() -> None:
        raise error

    assert refusal_of(refuses) is error
    assert refusal_of(lambda: None) is None
