"""A run's place in a worker process that others own: one worker loop with its own stores and lanes, fed by callers that wait.

Each caller brings one unit, asks the coordinator to be admitted, and leaves when its unit has ended; several wait at once, so that the loop
has several shards under way.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from migrator.core.cancellation import Flag, StopFlag
from migrator.core.entities import UnfinishedUpload
from migrator.core.errors import MigratorError
from migrator.engines.single_thread import UnitQueue
from migrator.sync.channel import Acknowledgements, Line
from migrator.sync.messages import Event, Learned, ProgressEvent, Survey, Unit, UnitEnded, UploadBegan, UploadEnded

_LOOKED_EVERY = 0.5

Work: TypeAlias = Callable[[Flag, UnitQueue[Unit], Line], None]
"""What the worker loop does: take units until there are none, and tell events. Opens its own stores; can be pickled."""

Preflight: TypeAlias = Callable[[], None]
"""Whether this place can do its part: raises a MigratorError that says why not. Can be pickled."""


class Began(NamedTuple):
    """A caller asks to be admitted with the unit `number`, as it was given out the `delivery`-th time."""

    number: int
    delivery: int
    attempt: str


class Said(NamedTuple):
    """An event of an attempt; those of uploads belong to none."""

    attempt: str
    event: Event


class Admit(NamedTuple):
    """The answer to Began: go on, with what is known of unfinished uploads by now; or do not (None)."""

    attempt: str
    uploads: tuple[UnfinishedUpload, ...] | None


class Acknowledge(NamedTuple):
    """The upload that was told with this number is durable."""

    number: int


class Stop(NamedTuple):
    """The run is to end: drain."""


FromStation: TypeAlias = Began | Said
ToStation: TypeAlias = Admit | Acknowledge | Stop


class Abandoned(Exception):
    """Nobody coordinates this run any more, or its worker loop is gone."""


class _Attempt:
    """One caller's unit."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer = threading.Event()
        self.uploads: tuple[UnfinishedUpload, ...] | None = None
        self.ended = threading.Event()


class Station:
    """`say` brings a message to the coordinator, in order, from any thread."""

    def __init__(self, work: Work, say: Callable[[FromStation], None]) -> None:
        self._work = work
        self._say = say
        self._name = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._attempts: dict[int, _Attempt] = {}
        self._units: UnitQueue[Unit] = UnitQueue()
        self._acknowledgements = Acknowledgements(1)
        self._stopping = StopFlag()
        self._line = Line(self._send, 0, self._acknowledgements, self._stopping)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._lock = threading.Lock()
        self._abandoned = False

    def carry_out(self, number: int, delivery: int, unit: Unit, *, is_wanted: Callable[[], bool]) -> None:
        """Have the unit worked through, and return when it has ended. Raises Abandoned."""
        own = next(self._numbers)
        attempt = self._attempts[own] = _Attempt(f"{self._name}-{own}")
        try:
            self._say(Began(number, delivery, attempt.name))
            self._wait(attempt.answer, is_wanted)
            if attempt.uploads is None:
                return
            self._line.learn(attempt.uploads)
            self._start()
            self._units.queue.put(unit._replace(number=own) if isinstance(unit, Survey) else replace(unit, number=own))
            self._wait(attempt.ended, is_wanted)
        finally:
            del self._attempts[own]

    def receive(self, message: ToStation) -> None:
        """Something from the coordinator. Never waits."""
        if isinstance(message, Admit):
            attempt = next((one for one in list(self._attempts.values()) if one.name == message.attempt), None)
            if attempt is not None:
                attempt.uploads = message.uploads
                attempt.answer.set()
        elif isinstance(message, Acknowledge):
            self._acknowledgements.acknowledge_number(0, message.number)
        else:
            self._stopping.set()

    def finish(self, seconds: float) -> None:
        """There are no more units: let the worker loop come to its end."""
        self._units.queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def abandon(self) -> None:
        """Nobody listens any more: stop what is under way and say nothing of outcomes, for somebody else will do this work."""
        self._abandoned = True
        self._stopping.set()
        self._units.queue.put(None)

    def _wait(self, until: threading.Event, is_wanted: Callable[[], bool]) -> None:
        while not until.wait(_LOOKED_EVERY):
            if self._abandoned or not is_wanted():
                self.abandon()
                raise Abandoned
            if self._thread.ident is not None and not self._thread.is_alive():
                raise Abandoned

    def _start(self) -> None:
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()

    def _run(self) -> None:
        self._work(self._stopping, self._units, self._line)

    def _send(self, event: Event) -> None:
        if isinstance(event, (UploadBegan, UploadEnded, Learned)):
            self._say(Said("", event))
            return
        attempt = self._attempts.get(event.unit)
        if attempt is None or self._abandoned:
            return
        self._say(Said(attempt.name, _unnumbered(event)))
        if isinstance(event, UnitEnded):
            attempt.ended.set()


def _unnumbered(event: Event) -> Event:
    """Numbers mean nothing outside of the station."""
    if isinstance(event, UnitEnded):
        return UnitEnded(event.error)
    return replace(event, unit=0) if isinstance(event, ProgressEvent) else event


def refusal_of(preflight: Preflight) -> MigratorError | None:
    """Why this place cannot do its part; None where it can."""
    try:
        preflight()
    except MigratorError as error:
        return error
    return None
