"""What came to a bucket since its last listing: known by the names alone, so that the other end need not be looked at again.

A bucket has no folders that tell what changed, so it is listed whole, by several prefixes at a time. Its listing is in the order of the
names, and so are the names that were taken down: both are walked side by side.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from functools import partial

from migrator.core.entities import Entry, Shard, shards_of
from migrator.core.notices import ignore_notice
from migrator.core.parallel_calls import run_concurrently
from migrator.core.protocols import Source
from migrator.sync.folder_change_detector import Changes

MOST_NAMES = 4_000_000
"""So many names are taken down, in 8 bytes each: the first 16 hex digits of a raw file's id, which is random."""


class ListingDetector:
    """Takes down the names of a source, and finds those that came since. What was gone in between is no change: nothing is to be copied.

    Whoever uses it compares everything that was there when `remember` began; nothing here decides that anything is at the target.
    """

    def __init__(self, source: Source, *, most: int = MOST_NAMES) -> None:
        self._source, self._most = source, most
        self._known: dict[Shard, array[int]] = {}

    def remember(self, organizations: Iterable[str]) -> None:
        """List the source whole, and take down the names. Raises StoreError."""
        shards = [shard for name in organizations for shard in shards_of(name, min(1, self._source.shard_length(name)))]
        names = run_concurrently([partial(self._names, shard) for shard in shards])
        self._known = dict(zip(shards, names, strict=True))
        if sum(map(len, names)) > self._most:
            self._known = {}

    def changes(self) -> Changes | None:
        """List the source again, and return what is new; None where the names were too many to be taken down. Raises StoreError."""
        if not self._known:
            return None
        found: dict[str, list[Entry]] = {}
        news = run_concurrently([partial(self._new, shard, known) for shard, known in self._known.items()])
        for shard, entries in zip(self._known, news, strict=True):
            if entries:
                found.setdefault(shard.organization, []).extend(entries)
        return Changes(found)

    def _names(self, shard: Shard) -> array[int]:
        names = array("Q")
        for number, _ in self._listed(shard):
            names.append(number)
            if len(names) > self._most:
                break
        return names

    def _new(self, shard: Shard, known: array[int]) -> list[Entry]:
        found, at, last = [], 0, len(known)
        for number, entry in self._listed(shard):
            while at < last and known[at] < number:
                at += 1
            if at == last or known[at] != number:
                found.append(entry)
        return found

    def _listed(self, shard: Shard) -> Iterator[tuple[int, Entry]]:
        for entry in self._source.scan(shard, ignore_notice):
            name = entry.raw_id
            yield int(f"{name[:8]}{name[9:13]}{name[14:18]}", 16), entry
