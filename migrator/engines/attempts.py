"""Units that may be given out twice and are counted once: the bookkeeping of an engine whose workers can be lost.

An attempt at a unit begins when a worker asks and is admitted. The newest one is in force: whatever an older one still says of its outcomes
is ignored, and what it had told is taken back, for the new attempt tells all of it again. Facts stay: a provisional copy was made, whoever
made it, and an upload that began has to be known.
"""

from __future__ import annotations

from dataclasses import replace

from migrator.core.entities import RawFile, UnfinishedUpload
from migrator.core.errors import MigratorError
from migrator.core.tally import Shape, Tally
from migrator.sync.messages import (
    Assignment,
    Closed,
    Event,
    Learned,
    ProgressEvent,
    Survey,
    Surveyed,
    Unit,
    UnitEnded,
    UploadBegan,
    UploadEnded,
)


class Order:
    """One unit on its way. `delivery` counts how often it was given out; `attempt` is the one in force, at the worker `at`."""

    __slots__ = (
        "at",
        "attempt",
        "delivery",
        "held",
        "in_flight",
        "number",
        "shape",
        "surveyed",
        "tally",
        "unit",
        "uploads",
    )

    def __init__(self, number: int, unit: Unit) -> None:
        self.number = number
        self.unit = unit
        self.delivery = 0
        self.attempt = ""
        self.at = ""
        self.tally, self.shape, self.in_flight = Tally(), Shape(), 0
        self.held = ProgressEvent(organization=self.organization)
        self.surveyed: list[Surveyed] = []
        self.uploads = {upload_of(upload): upload for upload in (unit.uploads if isinstance(unit, Assignment) else ())}

    @property
    def organization(self) -> str:
        """Return the organization that the unit is about."""
        return self.unit.organization if isinstance(self.unit, Survey) else self.unit.shard.organization

    @property
    def prefix(self) -> str:
        """Return the shard's prefix; "" for a survey, which is about the whole organization."""
        return "" if isinstance(self.unit, Survey) else self.unit.shard.prefix

    def covers(self, upload: UnfinishedUpload) -> bool:
        """Return True if this order's shard is the one that the upload's raw file belongs to."""
        return (
            isinstance(self.unit, Assignment)
            and upload.organization == self.organization
            and upload.raw_id.startswith(self.prefix)
        )


class Orders:
    """All units that were given out and have not ended. Used by one thread."""

    def __init__(self) -> None:
        self.open: dict[int, Order] = {}
        self._by_attempt: dict[str, Order] = {}
        self._given = 0

    def give(self, unit: Unit) -> Order:
        """Number a unit, and keep it open until its end is told."""
        self._given += 1
        order = Order(self._given, unit)
        self.open[order.number] = order
        return order

    def admit(self, number: int, delivery: int, attempt: str, at: str) -> tuple[Order | None, list[Event]]:
        """A worker wants to begin. None: it must not, for the unit has ended or was given out anew."""
        order = self.open.get(number)
        if order is None or order.delivery != delivery:
            return None, []
        undone = self.take_back(order)
        order.attempt, order.at = attempt, at
        self._by_attempt[attempt] = order
        return order, undone

    def take_back(self, order: Order) -> list[Event]:
        """Nothing that the attempt in force has told counts any more; it is over."""
        self._by_attempt.pop(order.attempt, None)
        undoing = ProgressEvent(
            organization=order.organization,
            tally=order.tally.taken_back(),
            shape=order.shape.taken_back(),
            in_flight=-order.in_flight,
        )
        is_nothing = order.tally == Tally() and not order.in_flight
        order.tally, order.shape, order.in_flight = Tally(), Shape(), 0
        order.attempt = order.at = ""
        order.held, order.surveyed = ProgressEvent(organization=order.organization), []
        return [] if is_nothing else [undoing]

    def take(self, attempt: str, event: Event) -> list[Event]:
        """What an attempt told, as it is to be passed on: sums and facts at once, all else and a survey's answer at the unit's end."""
        if isinstance(event, (UploadBegan, UploadEnded)):
            return self._take_upload(event)
        if isinstance(event, (Learned, Closed)):
            return [event]
        order = self._by_attempt.get(attempt)
        if isinstance(event, ProgressEvent):
            return self._take_event(order, event)
        if order is None:
            return []
        if isinstance(event, Surveyed):
            order.surveyed.append(replace(event, unit=0))
            return []
        return self.end(order, event.error)

    def end(self, order: Order, error: MigratorError | None = None) -> list[Event]:
        """The unit has come to its end, or nobody will take it up again."""
        del self.open[order.number]
        self._by_attempt.pop(order.attempt, None)
        last: list[Event] = [*order.surveyed]
        if order.held != ProgressEvent(organization=order.organization):
            last.insert(0, order.held)
        return [*last, UnitEnded(error)]

    def _take_event(self, order: Order | None, event: ProgressEvent) -> list[Event]:
        if order is None:  # of an attempt that does not count any more: what it copied is there all the same
            facts = ProgressEvent(
                organization=event.organization,
                outdated=event.outdated,
                provisional=event.provisional,
                copied=event.copied,
            )
            return [facts] if event.outdated or event.provisional or event.copied else []
        order.tally.merge(event.tally)
        order.shape.merge(event.shape)
        order.in_flight += event.in_flight
        _hold(order.held, event)
        return [
            ProgressEvent(
                organization=event.organization,
                tally=event.tally,
                shape=event.shape,
                finished=event.finished,
                outdated=event.outdated,
                provisional=event.provisional,
                settled=event.settled,
                copied=event.copied,
                in_flight=event.in_flight,
            )
        ]

    def _take_upload(self, event: UploadBegan | UploadEnded) -> list[Event]:
        for order in self.open.values():
            if order.covers(event.upload):
                if isinstance(event, UploadBegan):
                    order.uploads[upload_of(event.upload)] = event.upload
                else:
                    order.uploads.pop(upload_of(event.upload), None)
        return [event]


def _hold(held: ProgressEvent, event: ProgressEvent) -> None:
    """What could not be taken back, or would be written down twice."""
    held.problems += event.problems
    held.extra += event.extra
    held.proven += event.proven
    held.relied_upon += event.relied_upon
    held.sheets.update(event.sheets)


def upload_of(upload: UnfinishedUpload) -> RawFile:
    """Return the raw file that an upload is of."""
    return RawFile(upload.organization, upload.raw_id)
