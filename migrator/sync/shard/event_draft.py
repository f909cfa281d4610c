"""The event that a shard fills while it is worked through: told often, so that a shard that is killed loses little."""

from __future__ import annotations

import time

from migrator.sync.messages import ProgressEvent

SEND_AFTER_RESULTS = 500
SEND_AFTER_SECONDS = 0.5


class EventDraft:
    """`event` is filled from several places; `take` hands it over and begins another. Used by one thread."""

    __slots__ = ("_begun_at", "_organization", "_unit", "event", "results")

    def __init__(self, organization: str, unit: int) -> None:
        self._organization, self._unit = organization, unit
        self.event = self._begin()

    @property
    def is_due(self) -> bool:
        """Return True if enough results, or old enough ones, wait to be told."""
        return self.results >= SEND_AFTER_RESULTS or (
            self.results > 0 and time.monotonic() - self._begun_at > SEND_AFTER_SECONDS
        )

    @property
    def is_long(self) -> bool:
        """Return True if so many results or names are in it that it must not wait for the next step."""
        names = len(self.event.extra) + len(self.event.problems)
        return self.results >= SEND_AFTER_RESULTS or names >= SEND_AFTER_RESULTS

    def take(self) -> ProgressEvent:
        """Return the event, with all that happened since this was last called."""
        taken, self.event = self.event, self._begin()
        return taken

    def _begin(self) -> ProgressEvent:
        self._begun_at, self.results = time.monotonic(), 0
        return ProgressEvent(organization=self._organization, unit=self._unit)
