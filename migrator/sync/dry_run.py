"""The sink of a dry run: the same steps, no hand on anything. It cannot write, by type."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from migrator.core.entities import RawFile
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.core.protocols import SinkAnswer, Source

_ROOM = 1_000


class Rehearse:
    """Says what a migration would do, by sizes alone; opens nothing, and asks only whether it would be let to."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._answers: deque[SinkAnswer] = deque()

    @property
    def has_room(self) -> bool:
        """Return True while fewer answers wait to be fetched than memory is meant for."""
        return len(self._answers) < _ROOM

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        """Decide at once what migrate would do with this step; nothing is read or written but for `can_read`."""
        self._answers.append(SinkAnswer(ticket, self.result(organization, step)))

    def answers(self, *, flush: bool) -> Iterator[SinkAnswer]:
        """Yield the answers that wait."""
        while self._answers:
            yield self._answers.popleft()

    def moved(self) -> Iterator[tuple[object, int]]:
        """Yield nothing: no content is carried."""
        yield from ()

    def close(self) -> None:
        """Nothing is held."""

    def result(self, organization: str, step: Step) -> Result:
        """Return what migrate would come to with this step."""
        if step.action is Action.COMPARE:
            return Result(step.source, Outcome.PRESENT)
        if not self._source.can_read(RawFile(organization, step.source.raw_id)):
            return Result(step.source, Outcome.FAILED, "this user may not read the file", code="unreadable")
        return Result(step.source, Outcome.MISSING)
