"""What the ledger keeps of a shard: index folders whose raw files are all at the target, and copies that may be replaced once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, repeat

from migrator.core.entities import INDEX_LENGTH, Entry, FinishedFolder, Pair, Provisional, RawId
from migrator.core.outcomes import Outcome, Result
from migrator.core.tally import Count
from migrator.sync.messages import Assignment, ProgressEvent
from migrator.sync.shard.deciding import Known
from migrator.sync.shard.event_draft import EventDraft
from migrator.sync.shard.folder_digests import FolderWork, holds, index_of, parted
from migrator.sync.shard.pass_settings import Pairs, Pass, Tell

RESTED_NS = 2_000_000_000
"""A file that changed less than this before it was listed may change again within one tick of the file system's clock, unseen."""
_AT_TARGET = frozenset({Outcome.COPIED, Outcome.PRESENT})


class FolderTracker:
    """Follows a shard of a run that copies. A folder is finished once each of its raw files that is old enough is at the target."""

    def __init__(self, whole: Pass, assignment: Assignment, draft: EventDraft) -> None:
        self._draft = draft
        self._organization = assignment.shard.organization
        self._provisional = assignment.provisional
        self._young_after = whole.clock_ns() - whole.settle_ns
        # any later change of a file that changed before this will show in its entry; objects are written whole, and their ETags tell
        self._rested_before = min(self._young_after, whole.clock_ns() - RESTED_NS)
        self._folders: dict[str, FolderWork] = {}
        self.relies_on_folders = (
            not whole.is_partial and assignment.entries is None and self._organization not in whole.refused
        )
        self._finished = assignment.finished if self.relies_on_folders else {}

    def skips(self, pairs: Pairs, extra: Tell) -> bool:
        """Return False: folders that are done are left out one by one."""
        return False

    def is_done(self, prefix: str, entries: Sequence[Entry]) -> bool:
        """Return True, and count them, for a folder whose raw files are as they were when it was finished."""
        folder = self._finished.get(prefix)
        parts = parted(folder, entries) if folder is not None else None
        if folder is None or parts is None or parts.others:
            return False
        tally = self._draft.event.tally
        for count in (tally[Outcome.PRESENT], tally.present_unseen):
            count.merge(Count(folder.files, folder.bytes))
        return True

    def watch(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Known]]:
        """Yield each pair with what an earlier run tells of it; the pairs of a folder that was finished are gathered for that."""
        judged = self._judged(pairs) if self._finished else zip(pairs, repeat(Known.NOTHING))
        for pair, known in judged:
            source = pair.source
            if (
                source is not None
                and self.relies_on_folders
                and (source.etag is not None or source.changed_ns <= self._rested_before)
            ):
                self._work_in(index_of(source)).scanned(source)
            yield pair, known

    def _judged(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Known]]:
        for prefix, group in groupby(pairs, index_of):
            folder = self._finished.get(prefix)
            if folder is None:
                yield from zip(group, repeat(Known.NOTHING))
            else:
                yield from self._judged_folder(folder, list(group))

    def _judged_folder(self, folder: FinishedFolder, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Known]]:
        work = self._work_in(folder.prefix)
        newest = folder.newest_ns
        parts = parted(folder, [pair.source for pair in pairs if pair.source is not None])
        known = Known.CHANGED
        if parts is None:
            at_both_ends = (pair.target for pair in pairs if pair.source is not None)
            work.was_own = folder.is_own and holds(folder, at_both_ends)
        elif holds(folder, (pair.target for pair in pairs if pair.source and pair.source.changed_ns <= newest)):
            known = Known.UNCHANGED
            work.is_open = bool(parts.others)  # else it stays finished as it is
            work.own_up_to_ns = newest if folder.is_own else -1
        else:
            self._draft.event.outdated.append((self._organization, folder.prefix))
        for pair in pairs:
            if pair.source is None:
                yield pair, Known.NOTHING
            else:
                yield pair, known if parts is None or pair.source.changed_ns <= newest else Known.NOTHING

    def own_version(self, pair: Pair) -> str | None:
        """Return the version of what is at the target in a folder that was our own when it was finished."""
        folder = self._folders.get(index_of(pair))
        return pair.target.version if folder is not None and folder.was_own and pair.target is not None else None

    def ended(self, result: Result) -> None:
        """Take down a copy that may have to be replaced, and what is at the target of its folder.

        Only a data folder can show a raw file that is still growing; objects are written whole.
        """
        entry, outcome = result.entry, result.outcome
        young = entry.etag is None and entry.changed_ns > self._young_after
        provisional = self._provisional.get(entry.raw_id)
        if young and outcome is Outcome.COPIED:
            self._draft.event.provisional.append(
                Provisional(self._organization, entry.raw_id, entry.size, entry.changed_ns, result.version)
            )
        elif not young and outcome in _AT_TARGET and provisional is not None:
            self._draft.event.settled.append((self._organization, entry.raw_id))
        if not self.relies_on_folders or (entry.etag is None and entry.changed_ns > self._rested_before):
            return
        folder = self._work_in(index_of(entry))
        if outcome in _AT_TARGET:
            is_own = outcome is Outcome.COPIED or folder.was_own or entry.changed_ns <= folder.own_up_to_ns
            is_own = is_own or (provisional is not None and provisional.version == result.version)
            folder.at_target(entry, result.version, is_own=is_own)
        else:
            folder.is_open = False

    def left(self, raw_id: RawId) -> None:
        """Take down that the run stopped before this raw file: its folder is not finished."""
        folder = self._folders.get(raw_id[:INDEX_LENGTH])
        if folder is not None:
            folder.is_open = False

    def unreadable(self) -> None:
        """Finish none of this shard's folders: none is known to be whole."""
        self.relies_on_folders = False

    def finish(self, event: ProgressEvent) -> None:
        """Add the folders that are finished."""
        for folder in self._folders.values() if self.relies_on_folders else ():
            finished = folder.finished(self._organization)
            if finished is not None:
                event.finished.append(finished)

    def _work_in(self, prefix: str) -> FolderWork:
        work = self._folders.get(prefix)
        if work is None:
            work = self._folders[prefix] = FolderWork(prefix)
        return work
