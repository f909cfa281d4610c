"""What a verification keeps of a shard: what both ends listed, whether all of it is proven, and a manifest's rows.

A later verification lists both ends, compares with that, and reads nothing where neither changed (ADR 13).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from migrator.checks.manifest_writer import ManifestRow, ManifestShards
from migrator.core.entities import Entry, Pair, ProvenShard, RawFile, RawId
from migrator.core.outcomes import Outcome, Result
from migrator.sync.messages import Assignment, ProgressEvent
from migrator.sync.shard.deciding import Known
from migrator.sync.shard.event_draft import EventDraft
from migrator.sync.shard.pass_settings import Pairs, Pass, Tell

_LISTED_AT_SOURCE = "<%s %s %s %s %s %s\n"
_LISTED_AT_TARGET = ">%s %s %s %s %s %s\n"
"""All fields of an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """That a pass is a verification, and keeps what it has proven. `key` tells what was asked.

    `rests_ns`: a raw file on disk that changed less than this before it was listed could change again unseen. `sheets` take the rows
    of a manifest.
    """

    key: str
    rests_ns: int
    sheets: ManifestShards | None = None

    def track(self, whole: Pass, assignment: Assignment, draft: EventDraft) -> ProofTracker:
        """Return who follows a shard: a pass's `tracking`."""
        return ProofTracker(self, whole, assignment, draft)


class ProofTracker:
    """Follows a shard of a verification."""

    relies_on_folders = False

    def __init__(self, proofs: Proofs, whole: Pass, assignment: Assignment, draft: EventDraft) -> None:
        now_ns = whole.clock_ns()
        self._proofs = proofs
        self._shard = assignment.shard
        self._earlier = assignment.proven
        self._describe = whole.target.describe
        self._draft = draft
        self._rested_before = now_ns - proofs.rests_ns
        self._now = now_ns / 1e9
        self._rows: list[ManifestRow] = []
        self._begin()

    def _begin(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._files = 0
        self._relied_upon: ProvenShard | None = None
        self._is_whole = True

    def skips(self, pairs: Pairs, extra: Tell) -> bool:
        """Return True if an earlier run proved this shard and both ends list it as they did then: it is counted, and nothing is read."""
        known, sheets = self._earlier, self._proofs.sheets
        if known is None or not (sheets is None or sheets.holds(self._shard, known.sheet)):
            return False
        event = self._draft.event
        for pair, _ in self.watch(pairs()):
            if pair.source is not None:
                for count in (event.tally[Outcome.PROVEN], event.tally.present_unseen):
                    count.add(pair.source.size)
            elif pair.target is not None:
                extra(pair.target)
        if self._state != known.state or event.tally.unreadable_folders:
            self._begin()
            return False
        event.relied_upon.append(known)
        self._relied_upon = known
        return True

    @property
    def _state(self) -> str:
        return self._digest.hexdigest()

    def is_done(self, prefix: str, entries: Sequence[Entry]) -> bool:
        """Return False: a verification relies on whole shards."""
        return False

    def watch(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Known]]:
        """Yield the pairs as they come, taken down."""
        update, rested_before = self._digest.update, self._rested_before
        for pair in pairs:
            _, source, target = pair
            if source is not None:
                update((_LISTED_AT_SOURCE % source).encode())
                if source.etag is None and source.changed_ns > rested_before:
                    self._is_whole = False
            if target is not None:
                update((_LISTED_AT_TARGET % target).encode())
                if target.etag is None and target.changed_ns > rested_before:
                    self._is_whole = False
            self._files += 1
            yield pair, Known.NOTHING

    def own_version(self, pair: Pair) -> str | None:
        """Return None: a verification replaces nothing."""
        return None

    def ended(self, result: Result) -> None:
        """Take down a row of the manifest, or that the shard is not proven."""
        if result.outcome is not Outcome.PROVEN:
            self._is_whole = False
        elif result.digests is not None and self._proofs.sheets is not None:
            raw_file = RawFile(self._shard.organization, result.entry.raw_id)
            where = self._describe(raw_file)
            self._rows.append(ManifestRow(raw_file, result.digests, where, time.time(), result.evidence))

    def left(self, raw_id: RawId) -> None:
        """Take down that the run stopped before this raw file: the shard is not proven."""
        self._is_whole = False

    def unreadable(self) -> None:
        """Take down that the shard is not proven: raw files may be in what could not be listed."""
        self._is_whole = False

    def finish(self, event: ProgressEvent) -> None:
        """Write the manifest's sheet, and add the shard as proven if it is. Raises CannotStart where the sheet cannot be written."""
        sheets, known = self._proofs.sheets, self._relied_upon
        sheet = known.sheet if known is not None else ""
        if sheets is not None:
            if known is None:
                sheet = sheets.write(self._shard, self._rows)
            event.sheets[self._shard.prefix] = sheet
        if self._files and self._is_whole and known is None:
            organization, prefix = self._shard
            event.proven.append(ProvenShard(organization, prefix, self._proofs.key, self._state, self._now, sheet))
