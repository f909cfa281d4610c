"""Counting runs ahead beside the copying, so that progress has a true total and an interrupted run knows what is left."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.entities import Shard
from migrator.core.errors import MigratorError
from migrator.core.notices import ignore_notice
from migrator.core.protocols import Source
from migrator.core.tally import Count
from migrator.sync.shard.listing import admitted

STARTS_AFTER_SECONDS = 2.0
"""Short runs are over before a total would help, and need the core themselves."""


class SourceCounter:
    """Counts the source's raw files in a thread of its own. A context manager; leaving it ends the counting.

    `known` is what an earlier run counted of some organizations. It stands for the total, and they are counted anew only when `finish`
    or `has_met` tells of more: a pass that compares a million files with what is known is over before a second walk could tell anything.
    """

    def __init__(
        self,
        source: Source,
        organizations: Sequence[str],
        ages: Ages = ANY_AGE,
        known: Mapping[str, Count] | None = None,
    ) -> None:
        self._source = source
        self._ages = ages
        known = known or {}
        self._unknown = [organization for organization in organizations if organization not in known]
        self._known = [organization for organization in organizations if organization in known]
        self._ending = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._count, name="count-ahead", daemon=True)
        self.by_organization = {organization: Count() for organization in organizations}
        for organization in self._known:
            self.by_organization[organization].merge(known[organization])
        self.total = Count.sum(self.by_organization.values())
        self.is_final = False

    def __enter__(self) -> SourceCounter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._hurry.set()
        self._thread.join()

    def finish(self, seconds: float) -> None:
        """Give the counting so long to come to its end."""
        self._hurry.set()
        self._thread.join(seconds)

    def has_met(self, files: int) -> None:
        """The pass has met so many raw files: where that is more than was known, what was known is out of date."""
        if files > self.total.files:
            self._hurry.set()

    def _count(self) -> None:
        self._hurry.wait(STARTS_AFTER_SECONDS)
        try:
            for organization in self._unknown:
                if not self._scan(organization, self.by_organization[organization], self.total):
                    return
            if self._known:
                self._hurry.wait()
            for organization in self._known:
                count = Count()
                if not self._scan(organization, count):
                    return
                self.by_organization[organization] = count
            self.total = Count.sum(self.by_organization.values())
            self.is_final = True
        except MigratorError:
            return  # the pass itself meets the same, and tells it

    def _scan(self, organization: str, *counts: Count) -> bool:
        """Add the organization's raw files to `counts`; whether it came to its end."""
        if self._ending.is_set():
            return False
        entries = self._source.scan(Shard(organization), ignore_notice)
        for entry in admitted(entries, self._ages) if self._ages else entries:
            for count in counts:
                count.add(entry.size)
            if self._ending.is_set():
                return False
        return True
