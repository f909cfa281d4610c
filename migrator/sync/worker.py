"""The loop of one worker: several shards under way in one thread, so that requests never wait for a shard's end."""

from __future__ import annotations

from collections import deque
from typing import Protocol, TypeVar, cast

from migrator.core.errors import AccessDenied, BucketClosed, Interrupted, MigratorError, MustStop
from migrator.core.notices import Notice, NoticeKind
from migrator.core.outcomes import Step
from migrator.sync.channel import Line
from migrator.sync.messages import Closed, ProgressEvent, Survey, Unit, UnitEnded
from migrator.sync.shard.pass_settings import Pass
from migrator.sync.shard.shard_pass import ShardPass
from migrator.sync.survey import survey

U_co = TypeVar("U_co", covariant=True)

_SHARDS_OPEN = 3
_STEPS_BEFORE_ANSWERS = 256


class Units(Protocol[U_co]):
    """Where a worker's units come from."""

    def take(self, *, wait: bool) -> U_co | None:
        """The next unit. None if there is none now (`wait` false), or none any more (`wait` true)."""
        ...


class Worker:
    """Works through units until there are none. Errors of a raw file are outcomes; an error that ends the run is told as an event."""

    def __init__(self, whole: Pass, units: Units[Unit], line: Line) -> None:
        self._pass = whole
        self._sink = whole.sink
        self._units = units
        self._line = line
        self._send = line.send
        self._open: deque[ShardPass] = deque()
        self._error: MigratorError | None = None

    def run(self) -> None:
        """Until there are no more units. Whatever happens, each unit that was taken is told to have ended."""
        try:
            while True:
                self._feed()
                if not self._open and not self._admit(wait=True):
                    return
                self._collect()
        except MigratorError as error:
            self._break_off(error)
        except Exception as error:
            self._break_off(unexpected(error))

    def _break_off(self, error: MigratorError) -> None:
        self._fail(error)
        for shard in self._open:
            self._send(shard.draft.take())
            self._send(UnitEnded(error, shard.unit))
        while (unit := self._units.take(wait=True)) is not None:
            self._send(UnitEnded(error, unit.number))

    def _feed(self) -> None:
        """Give the sink steps while it has room, opening shards as they are needed."""
        given = 0
        while self._sink.has_room and given < _STEPS_BEFORE_ANSWERS:
            found = self._next_step()
            if found is None:
                return
            shard, step = found
            shard.under_way += 1
            given += 1
            self._sink.submit(shard, shard.organization, step)

    def _next_step(self) -> tuple[ShardPass, Step] | None:
        """The next step of an open shard, opening others as they are needed; None while there is none."""
        while True:
            shard = next((shard for shard in self._open if not shard.exhausted), None)
            if shard is None and not self._admit(wait=False):
                return None
            if shard is not None and (step := self._pull(shard)) is not None:
                return shard, step
            self._close_finished()

    def _pull(self, shard: ShardPass) -> Step | None:
        """The shard's next step; None where it has no more, or its scan broke off."""
        try:
            step = next(shard.steps, None)
        except Interrupted:
            step, shard.broken = None, True
        except MigratorError as error:
            step, shard.broken = None, True
            if not self._closes(error, shard.organization, shard.unit):
                self._fail(error)
        except Exception as error:
            step, shard.broken = None, True
            self._fail(unexpected(error))
        if step is None:
            shard.exhausted = True
        if not shard.broken and shard.draft.is_due:
            self._send(shard.draft.take())
        return step

    def _admit(self, *, wait: bool) -> bool:
        """Open one more shard; surveys are done on the way."""
        if sum(not shard.exhausted for shard in self._open) >= _SHARDS_OPEN:
            return False
        unit = self._units.take(wait=wait)
        if unit is None:
            return False
        try:
            if isinstance(unit, Survey):
                for event in survey(self._pass, unit, self._send):
                    self._send(event)
            else:
                self._line.learn(unit.uploads)
                self._open.append(ShardPass(self._pass, unit, self._send))
                return True
        except Interrupted:
            self._send(UnitEnded(unit=unit.number))
        except MigratorError as error:
            organization = unit.organization if isinstance(unit, Survey) else unit.shard.organization
            is_closed = self._closes(error, organization, unit.number)
            self._send(UnitEnded(None if is_closed else error, unit.number))
        except Exception as error:
            self._send(UnitEnded(unexpected(error), unit.number))
        else:
            self._send(UnitEnded(unit=unit.number))
        return True

    def _collect(self) -> None:
        """Count the answers that are there, waiting for one if the sink has any under way."""
        nothing_to_give = all(shard.exhausted for shard in self._open)
        for ticket, result, stop in self._sink.answers(flush=nothing_to_give):
            shard = cast("ShardPass", ticket)
            shard.under_way -= 1
            shard.count(result)
            if isinstance(stop, BucketClosed):
                self._send(Closed(shard.organization, stop, shard.unit))
            elif stop is not None:
                self._fail(stop)
            if shard.draft.is_due:
                self._send(shard.draft.take())
        self._note_moved()
        self._close_finished()

    def _note_moved(self) -> None:
        """Count how far large files have come: their shard tells it, though no result may come for minutes."""
        for ticket, moved in self._sink.moved():
            shard = cast("ShardPass", ticket)
            shard.count_moved(moved)
            if shard.draft.is_due:
                self._send(shard.draft.take())

    def _closes(self, error: MigratorError, organization: str, unit: int) -> bool:
        """Whether a listing was refused in a bucket that only this organization has: it is told as unreadable, and the others go on."""
        if not (self._pass.parted and isinstance(error, AccessDenied)):
            return False
        where = f"s3://{error.bucket}" if error.bucket else organization
        notice = Notice(NoticeKind.UNREADABLE_FOLDER, where, str(error), organization, code=error.name)
        event = ProgressEvent(organization=organization, unit=unit)
        event.note(notice)
        self._send(event)
        self._send(Closed(organization, error, unit))
        return True

    def _fail(self, error: MigratorError) -> None:
        """The run is over: no more steps here, and whoever coordinates has to know."""
        self._error = self._error or error
        self._pass.stopping.set()

    def _close_finished(self) -> None:
        for shard in [shard for shard in self._open if shard.exhausted and not shard.under_way]:
            self._open.remove(shard)
            self._send(self._last_event(shard))
            self._send(UnitEnded(self._error, shard.unit))
            self._error = None

    def _last_event(self, shard: ShardPass) -> ProgressEvent:
        """A verification writes its sheets last: where that fails, what was counted is told all the same."""
        try:
            if not shard.broken and not self._error:
                return shard.finish()
        except MigratorError as error:
            self._fail(error)
        except Exception as error:
            self._fail(unexpected(error))
        return shard.draft.take()


def unexpected(error: BaseException) -> MustStop:
    """What nobody thought of ends the run in words."""
    stop = MustStop(
        "unexpected",
        f"Something unexpected happened: {type(error).__name__}: {error}.",
        cure="Rerun with --log-file; if it stays, report it.",
    )
    stop.__cause__ = error
    return stop
