"""The engine of one thread: a worker that breaks ends the run, and a run that breaks ends the worker."""

from __future__ import annotations

import threading
import time

import pytest

from migrator.core.cancellation import StopFlag
from migrator.core.entities import UnfinishedUpload
from migrator.core.errors import Interrupted, MustStop
from migrator.engines.single_thread import Threads, UnitQueue
from migrator.sync.channel import Line
from migrator.sync.coordinator import Coordinator
from migrator.sync.messages import Event, Survey, UnitEnded, UploadBegan, UploadEnded
from migrator.sync.totals import Totals
from tests.backends import raw_id
from tests.passes import Remembered

FULL = MustStop("ledger-full", "The ledger cannot be written.")
UPLOAD = UnfinishedUpload("org", raw_id("0001"), "bucket", "key", "id", 8, "stamp", 0.0)


class Full(Remembered):
    """A ledger that is full when the first upload begins."""

    def record_upload(self, event: UploadBegan | UploadEnded) -> None:
        raise FULL


def coordinated(engine: Threads, stopping: StopFlag, memory: Remembered) -> None:
    Coordinator(engine=engine, memory=memory, observers=[], totals=Totals(), stopping=stopping).run(["org"])


def until_it_stops(engine: Threads) -> tuple[list[Event], MustStop]:
    """What is told until the engine says that nobody is left."""
    events: list[Event] = []
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            event = engine.next_event(0.05)
        except MustStop as stop:
            return events, stop
        if event is not None:
            events.append(event)
    raise AssertionError("the engine waits for ever")


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3)])
def test_a_worker_that_breaks_ends_the_run_in_words(error: BaseException) -> None:
    def breaks(units: UnitQueue, line: Line) -> None:
        units.take(wait=True)
        raise error

    flag = StopFlag()
    with Threads(breaks, stopping=flag) as engine:
        engine.submit(Survey("org"))
        events, stop = until_it_stops(engine)
    assert events == []
    assert stop.name == "unexpected"
    assert type(error).__name__ in stop.what


def test_what_a_worker_told_last_is_taken_before_its_end_is() -> None:
    def tells(units: UnitQueue, line: Line) -> None:
        for number in range(3):
            line.send(UnitEnded(unit=number))

    with Threads(tells, stopping=StopFlag()) as engine:
        events, _ = until_it_stops(engine)
    assert events == [UnitEnded(unit=number) for number in range(3)]


def test_a_ledger_that_breaks_keeps_no_upload_waiting() -> None:
    """Nobody acknowledges anything any more: the worker has to hear of it, or leaving the engine would last for ever."""
    flag, ends = StopFlag(), []

    def works(units: UnitQueue, line: Line) -> None:
        while units.take(wait=True) is not None:
            try:
                line.began(UPLOAD)
            except Interrupted:
                ends.append("interrupted")
            line.send(UnitEnded())

    def run() -> None:
        try:
            with Threads(works, stopping=flag) as engine:
                coordinated(engine, flag, Full())
        except MustStop as error:
            ends.append(error.name)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert ends == ["interrupted", "ledger-full"]
