"""Watching a source while Bytes writes: what came in since the last look, how far the target is behind, and when to look again.

A look costs one stat for each index folder. Whatever changes a folder is seen, as `Fingerprint` has it; what came in is told by the
change time that the file system itself gives: a file that is new in a folder is no older than the folder was at the last look. Nothing
here decides that anything is at the target: what a look misses, the next whole pass finds.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from migrator.core.entities import HEX_DIGITS, INDEX_LENGTH, Entry, Fingerprint, Provisional, RawFile, RawId, Shard
from migrator.core.notices import ignore_notice
from migrator.core.protocols import Source
from migrator.core.tally import Count
from migrator.sync.messages import Assignment, ProgressEvent

AT_MOST_EACH = 1_000
"""Raw files in one unit of work."""
_FOLDERS = 16**INDEX_LENGTH
_NUMBERS = 3


class _FolderFingerprints:
    """The fingerprints of an organization's index folders, in 24 bytes for each that there can be."""

    def __init__(self) -> None:
        self._numbers = array("Q", bytes(8 * _NUMBERS * _FOLDERS))
        self.floor_ns = 0
        """What is not newer than this was there when the last whole pass began, whichever folder it is in."""
        self.met: dict[str, dict[RawId, int]] = {}
        """By folder: raw files that the last look found there and that are as new as the folder, with their change times."""

    def get(self, prefix: str) -> Fingerprint | None:
        """As it was when it was last looked at; None for a folder that was not there."""
        at = int(prefix, 16) * _NUMBERS
        numbers = self._numbers[at : at + _NUMBERS]
        return Fingerprint(*numbers) if any(numbers) else None

    def put(self, prefix: str, fingerprint: Fingerprint) -> None:
        at = int(prefix, 16) * _NUMBERS
        for place, number in enumerate(fingerprint):
            self._numbers[at + place] = number

    def since(self, prefix: str, now: Fingerprint) -> int:
        """Whatever is new in the folder is at least so new; 0 where the file system's clock went back."""
        before = self.get(prefix)
        if before is not None and now.changed_ns < before.changed_ns:
            return 0
        return max(self.floor_ns, before.changed_ns if before is not None else 0)


class Changes(NamedTuple):
    """What a look found: raw files that are new, or changed since they were copied while young, by organization."""

    entries: dict[str, list[Entry]]

    @property
    def files(self) -> int:
        """Return how many raw files came or changed, in all organizations."""
        return sum(map(len, self.entries.values()))

    @property
    def oldest_ns(self) -> int:
        """When the first of them came."""
        return min((entry.changed_ns for entries in self.entries.values() for entry in entries), default=0)

    def assignments(self, provisional: Mapping[str, Mapping[RawId, Provisional]]) -> Iterator[Assignment]:
        """Units of work that bring them to the target."""
        for organization, entries in self.entries.items():
            known = provisional.get(organization, {})
            for start in range(0, len(entries), AT_MOST_EACH):
                some = tuple(entries[start : start + AT_MOST_EACH])
                own = {entry.raw_id: known[entry.raw_id] for entry in some if entry.raw_id in known}
                yield Assignment(shard=Shard(organization), target_is_empty=False, provisional=own, entries=some)


class ChangeDetector:
    """Looks at a source on disk again and again. `settle_ns`: how long a raw file may still be written to."""

    def __init__(self, source: Source, *, settle_ns: int, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._source = source
        self._settle_ns = settle_ns
        self._clock_ns = clock_ns
        self._seen: dict[str, _FolderFingerprints] = {}
        self._glanced: Iterator[tuple[str, str]] = iter(())
        self.young: dict[str, dict[RawId, Provisional]] = {}

    def remember(self, organizations: Iterable[str]) -> None:
        """Take down how everything is, before a pass looks into it: what changes from here on is found."""
        for organization in organizations:
            seen = self._seen[organization] = _FolderFingerprints()
            for folder in self._source.folders(Shard(organization)):
                seen.put(folder.prefix, folder.fingerprint)
                seen.floor_ns = max(seen.floor_ns, folder.fingerprint.changed_ns)

    def on_event(self, event: ProgressEvent) -> None:
        """Learn which copies were made of young raw files: these may still grow, which no folder shows."""
        young = self.young.setdefault(event.organization, {})
        young.update({copy.raw_id: copy for copy in event.provisional})
        for organization, raw_id in event.settled:
            self.young.get(organization, {}).pop(raw_id, None)

    def tick(self) -> None:
        """Only events matter."""

    def glance(self, seconds: float) -> bool:
        """Whether anything came in, as far as so many seconds of a core can tell: some folders now, others the next time.

        Where much comes in, it is soon seen; a single raw file is seen once all folders had their turn.
        """
        until = time.thread_time() + seconds
        for _ in range(len(self._seen) * len(HEX_DIGITS)):
            organization, prefix = next(self._glanced, ("", ""))
            if not organization:
                self._glanced = ((name, digit) for name in tuple(self._seen) for digit in HEX_DIGITS)
                continue
            seen = self._seen[organization]
            folders = self._source.folders(Shard(organization, prefix))
            if any(seen.get(folder.prefix) != folder.fingerprint for folder in folders):
                return True
            if time.thread_time() >= until:
                break
        return False

    def changes(self) -> Changes:
        """What came in since the last look. Raises StoreError."""
        found: dict[str, list[Entry]] = {}
        for organization, seen in self._seen.items():
            fresh = {entry.raw_id: entry for entry in self._new(organization, seen)}
            fresh.update({entry.raw_id: entry for entry in self._grown(organization)})
            if fresh:
                found[organization] = list(fresh.values())
        return Changes(found)

    def _new(self, organization: str, seen: _FolderFingerprints) -> Iterator[Entry]:
        young = self.young.get(organization, {})
        for folder in self._source.folders(Shard(organization)):
            prefix, now = folder
            if seen.get(prefix) == now:
                continue
            since, met = seen.since(prefix, now), seen.met.get(prefix, {})
            seen.put(prefix, now)
            newest = seen.met[prefix] = {}
            for entry in self._source.scan(Shard(organization, prefix), ignore_notice):
                if entry.changed_ns < since:
                    continue
                if entry.changed_ns >= now.changed_ns:
                    newest[entry.raw_id] = entry.changed_ns
                if entry.raw_id not in young and met.get(entry.raw_id) != entry.changed_ns:
                    yield entry

    def _grown(self, organization: str) -> Iterator[Entry]:
        """Young raw files that were written to after they were copied; those that are old enough by now are left to the next pass."""
        young = self.young.get(organization, {})
        settled_before = self._clock_ns() - self._settle_ns
        for raw_id, copy in list(young.items()):
            entry = self._source.stat(RawFile(organization, raw_id))
            if entry is not None and (entry.size, entry.changed_ns) != (copy.size, copy.changed_ns):
                yield entry
            elif entry is None or entry.changed_ns < settled_before:
                del young[raw_id]


@dataclass(slots=True)
class Lag:
    """How far the target is behind. `largest_seconds` is of the raw files that came while this was watching."""

    files: int = 0
    seconds: float = 0.0
    largest_seconds: float = 0.0
    copied: Count = field(default_factory=Count)
    since_ns: int = field(default_factory=time.time_ns)

    def found(self, found: Changes, now_ns: int) -> None:
        """So many are to be brought now."""
        self.files = found.files
        self.seconds = max(0.0, (now_ns - found.oldest_ns) / 1e9) if found.files else 0.0
        self.largest_seconds = max(self.largest_seconds, self.seconds if found.oldest_ns >= self.since_ns else 0.0)

    def on_event(self, event: ProgressEvent) -> None:
        """Count what was copied; a raw file's lag is from its last change until it is counted here, in seconds."""
        now_ns = time.time_ns()
        for entry in event.copied:
            self.copied.add(entry.size)
            if entry.changed_ns >= self.since_ns:
                self.largest_seconds = max(self.largest_seconds, (now_ns - entry.changed_ns) / 1e9)
        self.files = max(0, self.files - len(event.copied))
        if not self.files:
            self.seconds = 0.0

    def tick(self) -> None:
        """Only events matter."""


class Rest:
    """How long to rest between looks: little while raw files come in; in the end so long that looking costs less than 1 % of a core."""

    SHORTEST = 1.0
    GLANCE = 0.004
    """Seconds of a core for the glance after each second of rest."""
    _AT_WORK = 4
    _AT_REST = 500

    def __init__(self) -> None:
        self._factor = self._AT_WORK

    def after(self, cost: float, *, found: bool) -> float:
        """Seconds to rest after a look that took `cost` seconds of a core."""
        self._factor = self._AT_WORK if found else min(self._AT_REST, self._factor * 5)
        return max(self.SHORTEST, cost * self._factor)
