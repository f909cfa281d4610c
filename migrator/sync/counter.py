"""Counting runs ahead beside the copying, so that progress has a true total and an interrupted run knows what is left."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.entities import Shard
from migrator.core.errors import MigratorError
from migrator.core.outcomes import Notice
from migrator.core.protocols import Source
from migrator.core.tally import Count
from migrator.sync.shard_pass import admitted

STARTS_AFTER_SECONDS = 2.0
"""Short runs are over before a total would help, and need the core themselves."""


class CountAhead:
    """Counts the source's raw files in a thread of its own. A context manager; leaving it ends the counting."""

    def __init__(self, source: Source, organizations: Sequence[str], ages: Ages = ANY_AGE) -> None:
        self._source = source
        self._ages = ages
        self._organizations = organizations
        self._ending = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._count, name="count-ahead", daemon=True)
        self.by_organization = {organization: Count() for organization in organizations}
        self.total = Count()
        self.is_final = False

    def __enter__(self) -> CountAhead:
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

    def _count(self) -> None:
        self._hurry.wait(STARTS_AFTER_SECONDS)
        try:
            for organization in self._organizations:
                count = self.by_organization[organization]
                entries = self._source.scan(Shard(organization), _ignore)
                for entry in admitted(entries, self._ages) if self._ages else entries:
                    count.add(entry.size)
                    self.total.add(entry.size)
                    if self._ending.is_set():
                        return
            self.is_final = True
        except MigratorError:
            return  # the pass itself meets the same, and tells it


def _ignore(notice: Notice) -> None:
    """The pass itself tells strays and unreadable folders."""
