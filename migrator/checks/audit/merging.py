"""Rows of the database merged with what the target lists, and what the other location has of the rest. All of them ascend."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from migrator.checks.audit.database_row import Recorded
from migrator.core.entities import Entry, RawFile, RawId, Shard
from migrator.core.errors import BucketMissing, MustStop
from migrator.core.notices import ignore_notice
from migrator.core.protocols import Source
from migrator.sync.compare import ascending


class Elsewhere:
    """The other location's raw files of one organization, asked for in ascending order; only shards that are asked for are listed."""

    def __init__(self, source: Source | None, organization: str) -> None:
        self._source = source
        self._organization = organization
        self._length: int | None = None
        self._shard = ""
        self._entries: Iterator[Entry] = iter(())
        self._next: Entry | None = None

    def find(self, raw_id: RawId) -> Entry | None:
        """The entry of a raw id that comes after all that were asked for before; None where there is none."""
        if self._source is None:
            return None
        try:
            self._open_shard_of(self._source, raw_id)
            while self._next is not None and self._next.raw_id < raw_id:
                self._next = next(self._entries, None)
        except BucketMissing:
            self._source = None
            return None
        return self._next if self._next is not None and self._next.raw_id == raw_id else None

    def stat(self, raw_id: RawId) -> Entry | None:
        """The same for any raw id, by a request for it alone."""
        return self._source.stat(RawFile(self._organization, raw_id)) if self._source is not None else None

    def _open_shard_of(self, source: Source, raw_id: RawId) -> None:
        if self._length is None:
            self._length = source.shard_length(self._organization)
        elif raw_id.startswith(self._shard):
            return
        self._shard = raw_id[: self._length]
        self._entries = source.scan(Shard(self._organization, self._shard), ignore_notice)
        self._next = next(self._entries, None)


def by_organization(rows: Iterable[Recorded], organizations: Sequence[str]) -> Iterator[tuple[str, Iterable[Recorded]]]:
    """Yield the rows of each organization, ascending, with those that have no row in their places.

    Raises:
        MustStop: If the rows do not ascend.
    """
    waiting = deque(organizations)
    last: str | None = None
    for organization, group in groupby(rows, key=itemgetter(0)):
        if last is not None and organization <= last:
            raise MustStop(
                "rows-out-of-order",
                f"The database's rows are out of order: {organization!r} came after {last!r}.",
                why="Comparing them would call existing files missing.",
                cure="Nothing was decided from it. Report it with the version of PostgreSQL.",
            )
        last = organization
        while waiting and waiting[0] < organization:
            yield waiting.popleft(), ()
        if waiting and waiting[0] == organization:
            waiting.popleft()
        yield organization, group
    yield from ((organization, ()) for organization in waiting)


def merged(rows: Iterable[Recorded], entries: Iterator[Entry]) -> Iterator[tuple[Recorded | None, Entry | None]]:
    """Rows with their entries, rows without, and entries without; ascending."""
    entry = next(entries, None)
    for row in ascending(rows, "database"):
        raw_id = row.raw_id
        while entry is not None and entry.raw_id < raw_id:
            yield None, entry
            entry = next(entries, None)
        if entry is not None and entry.raw_id == raw_id:
            yield row, entry
            entry = next(entries, None)
        else:
            yield row, None
    while entry is not None:
        yield None, entry
        entry = next(entries, None)
