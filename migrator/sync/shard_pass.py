"""One shard's way: scan → compare → rules → sink → outcomes, told as events.

A shard is pulled for steps and pushed results, so that one thread can have several shards under way and no request waits for the end of
another shard. Events are told often; a shard that is killed loses nothing but what was not told yet.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import chain, groupby, islice
from typing import NamedTuple, Protocol

from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.cancellation import Flag
from migrator.core.entities import (
    INDEX_LENGTH,
    Entry,
    FinishedFolder,
    Pair,
    ProvenShard,
    Provisional,
    RawFile,
    RawId,
    Shard,
    shards_of,
)
from migrator.core.errors import AccessDenied, MustStop
from migrator.core.outcomes import Action, Denial, Notice, NoticeKind, Outcome, Problem, Result, Step, ignore_notice
from migrator.core.protocols import Sink, Source
from migrator.core.tally import Count
from migrator.sync.compare import compare, verdict_of
from migrator.sync.folder_state import FolderWork, holds, index_of, parted
from migrator.sync.manifest import ManifestRow, ManifestShards
from migrator.sync.messages import Assignment, Closed, Event, ProgressEvent, Survey, Surveyed
from migrator.sync.rules import REFUSE, Rules

TOLD_AFTER_RESULTS = 500
TOLD_AFTER_SECONDS = 0.5
PARTED_FROM_FILES = 200
PARTED_FROM_BYTES = 1 << 30
DIFFERENT_SIZE = "the target holds another size under this name"
NOT_AT_TARGET = "it is not at the target"
NO_VALID_NAME = "the organization has no valid bucket name at the target"
EXTRA = "extra"
RESTED_NS = 2_000_000_000
"""A file that changed less than this before it was listed may change again within one tick of the file system's clock, unseen."""
_LISTED_ONE_BY_ONE = 8
_UNREMARKABLE = frozenset({Outcome.COPIED, Outcome.PRESENT, Outcome.MISSING, Outcome.PROVEN})
_MOVED = frozenset({Outcome.COPIED, Outcome.MISSING})
_BY_LISTINGS = {
    Action.VOUCH: (Outcome.PROVEN, ""),
    Action.MISS: (Outcome.MISSING, NOT_AT_TARGET),
    Action.REFUSE: (Outcome.REFUSED, NO_VALID_NAME),
}
"""What needs no sink."""
_AT_TARGET = frozenset({Outcome.COPIED, Outcome.PRESENT})


class Taking(Protocol):
    """A choice of raw files: a sample."""

    def takes(self, organization: str) -> Callable[[RawId], bool]:
        """Whether a raw file of that organization is chosen."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """That a pass is a verification, and keeps what it has proven. `key` tells what was asked.

    `rests_ns`: a raw file on disk that changed less than this before it was listed could change again unseen. `sheets` take the rows
    of a manifest.
    """

    key: str
    rests_ns: int
    sheets: ManifestShards | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What all units of a run share.

    `settle_ns`: a raw file that changed less than this ago may still be written to. `remembers`: a ledger is kept, so which index folders
    are finished matters. `refusal` are the rules for organizations without a valid name at the target. `tells_copied`: name each raw
    file that was copied. `ages`: which raw files of the source count, `sample`: which of those; where any is left out, nothing is extra
    and no folder is finished. `parted`: organizations have buckets of their own; `denied` are those whose buckets refuse. `lists_extra`:
    each raw file that is only at the target is told by name. `spread`: many workers want their part of each organization.
    """

    source: Source
    target: Source
    sink: Sink
    rules: Rules
    refused: frozenset[str]
    settle_ns: int
    stopping: Flag
    remembers: bool = True
    tells_copied: bool = False
    ages: Ages = ANY_AGE
    sample: Taking | None = None
    proofs: Proofs | None = None
    spread: bool = False
    refusal: Rules = field(default_factory=lambda: REFUSE)
    lists_extra: bool = False
    parted: bool = False
    denied: Mapping[str, Denial] = field(default_factory=dict)
    clock_ns: Callable[[], int] = time.time_ns
    pick: Callable[[Sequence[Shard]], Shard] = random.choice  # noqa: S311 which shard is sampled is no secret

    @property
    def is_partial(self) -> bool:
        """Whether raw files are left out on purpose."""
        return bool(self.ages) or self.sample is not None

    def survey(self, unit: Survey, overflow: Callable[[ProgressEvent], None] | None = None) -> Iterator[Event]:
        """Find out how to cut an organization into shards, and tell the strays that no shard would meet.

        `overflow` takes them while they are met: they may be more than all raw files.
        """
        organization = unit.organization
        empty, denied = self._look_at_target(organization)
        if denied is not None:
            yield Closed(organization, MustStop(denied.name, denied.reason), unit.number)
        length = self.source.shard_length(organization)
        if self.spread and not length and self._is_worth_parting(organization):
            length = 1
        surveyed = Surveyed(
            organization=organization, length=length, target_is_empty=empty, denied=denied, unit=unit.number
        )
        if unit.finished:
            surveyed = self._with_sample(unit, surveyed)
        yield surveyed
        if length:
            told = ProgressEvent(organization=organization, unit=unit.number)

            def note(notice: Notice) -> None:
                nonlocal told
                told.note(notice)
                if overflow is not None and len(told.problems) >= TOLD_AFTER_RESULTS:
                    overflow(told)
                    told = ProgressEvent(organization=organization, unit=unit.number)

            for store in (self.source, self.target) if surveyed.lists_target and not empty else (self.source,):
                store.scan_strays(organization, note, length=length)
            yield told

    def _look_at_target(self, organization: str) -> tuple[bool, Denial | None]:
        """Return whether nothing of it is at the target, and why nothing can be, where its bucket alone refuses.

        Raises:
            AccessDenied: If the bucket may not be listed and is the only one.
        """
        if organization in self.refused or organization in self.denied:
            return True, self.denied.get(organization)
        try:
            return self.target.is_empty(organization), None
        except AccessDenied as error:
            if not self.parted:
                raise
            return True, Denial(error.name, str(error))

    def _with_sample(self, unit: Survey, surveyed: Surveyed) -> Surveyed:
        """A quick look at one shard, another one each time: is the target as the ledger says of the folders that are finished?

        Where the sample would be the whole organization, or the target has more there than the source, all of the target is listed.
        """
        if surveyed.target_is_empty:
            return replace(surveyed, ledger_holds=False)
        if unit.lists_target or self.ages or not surveyed.length:
            return surveyed
        shards = list(shards_of(unit.organization, surveyed.length))
        found = self._look_at_sample(unit.finished, self.pick(shards))
        return replace(
            surveyed, ledger_holds=found.holds, lists_target=not found.holds or found.has_extra, sample_of=len(shards)
        )

    def _look_at_sample(self, finished: Mapping[str, FinishedFolder], shard: Shard) -> _Sample:
        has_extra = False
        source, target = (store.scan(shard, ignore_notice) for store in (self.source, self.target))
        for prefix, group in groupby(compare(source, target), index_of):
            pairs = list(group)
            has_extra = has_extra or any(pair.source is None for pair in pairs)
            folder = finished.get(prefix)
            if folder is not None and not _target_holds(folder, pairs):
                return _Sample(holds=False, has_extra=has_extra)
        return _Sample(holds=True, has_extra=has_extra)

    def _is_worth_parting(self, organization: str) -> bool:
        """Whether the first raw files are many, or large: found with one page of a listing, or a few folders."""
        size = 0
        first = islice(self.source.scan(Shard(organization), ignore_notice), PARTED_FROM_FILES)
        for number, entry in enumerate(first, 1):
            size += entry.size
            if number == PARTED_FROM_FILES or (number > 1 and size >= PARTED_FROM_BYTES):
                return True
        return False


class _Sample(NamedTuple):
    """What a quick look found: `holds` as the ledger says, `has_extra` raw files that the source does not have."""

    holds: bool
    has_extra: bool


def _target_holds(folder: FinishedFolder, pairs: Sequence[Pair]) -> bool:
    """False if the target lacks what this folder was finished with; True too where the source changed, which a pass finds."""
    parts = parted(folder, [pair.source for pair in pairs if pair.source is not None])
    if parts is None:
        return True
    return holds(folder, (pair.target for pair in pairs if pair.source and pair.source.changed_ns <= folder.newest_ns))


class _Known(Enum):
    """What an earlier run tells of a raw file: nothing; that it is at the target, and neither end changed; that an end changed."""

    NOTHING = "nothing"
    UNCHANGED = "unchanged"
    CHANGED = "changed"


class ShardPass:
    """One shard while it is worked through: `steps` gives what the sink has to do, `count` takes its answers.

    `overflow` takes what must not wait for the next step, however many names come before it.
    """

    def __init__(
        self, whole: Pass, assignment: Assignment, overflow: Callable[[ProgressEvent], None] | None = None
    ) -> None:
        self._pass = whole
        self._overflow = overflow
        self._assignment = assignment
        self._shard = assignment.shard
        self._young_after = whole.clock_ns() - whole.settle_ns
        self._rested_before = min(self._young_after, whole.clock_ns() - RESTED_NS)
        self._told = ProgressEvent(organization=self._shard.organization, unit=assignment.number)
        self._told_at = time.monotonic()
        self._results = 0
        self._folders: dict[str, FolderWork] = {}
        self._may_finish = (
            whole.remembers
            and not whole.is_partial
            and assignment.entries is None
            and assignment.shard.organization not in whole.refused
        )
        self._finished = assignment.finished if self._may_finish else {}
        self.organization = self._shard.organization
        self.unit = assignment.number
        self._proof = _ShardProof(whole.proofs, assignment, whole.clock_ns()) if whole.proofs is not None else None
        if self._proof is not None and self._rests_on_earlier(self._proof):
            self.steps: Iterator[Step] = iter(())
            return
        pairs = self._pairs() if assignment.entries is None else self._given(assignment.entries)
        self.steps = self._steps(self._judged(pairs if self._proof is None else self._proof.watch(pairs)))

    def _given(self, entries: Iterable[Entry]) -> Iterator[Pair]:
        """Raw files that are new at the source, or were copied while they were young: then what we left at the target is known."""
        provisional = self._assignment.provisional
        for entry in entries:
            own = provisional.get(entry.raw_id)
            left = Entry(entry.raw_id, own.size, own.version) if own is not None else None
            yield Pair(entry.raw_id, entry, left)

    def count(self, result: Result) -> None:
        """Take down how a raw file ended."""
        folder = self._folders.get(index_of(result.entry))
        self._count(result, is_own=folder is not None and folder.was_own)

    def _count(self, result: Result, *, is_own: bool) -> None:
        """`is_own`: if it was there already, this program had written it."""
        entry, outcome = result.entry, result.outcome
        self._results += 1
        self._told.tally.outcomes[outcome].add(entry.size)
        self._told.shape.add(entry.size, entry.modified_ns, moved=outcome in _MOVED)
        if outcome not in _UNREMARKABLE or result.reason:
            self._tell_problem(result)
        if outcome is Outcome.COPIED and self._pass.tells_copied:
            self._told.copied.append(entry)
        if self._proof is not None:
            self._count_proof(self._proof, result)
        elif self._pass.remembers:
            self._remember(result, is_own=is_own or outcome is Outcome.COPIED)

    def count_moved(self, moved: int) -> None:
        """Take in that so many bytes more of large files are on their way, or fewer where one has ended."""
        self._told.in_flight += moved
        self._results += 1

    @property
    def is_time_to_tell(self) -> bool:
        """Return True if enough results, or old enough ones, wait to be told."""
        return self._results >= TOLD_AFTER_RESULTS or (
            self._results > 0 and time.monotonic() - self._told_at > TOLD_AFTER_SECONDS
        )

    def tell(self) -> ProgressEvent:
        """What has happened since this was last called."""
        told, self._told = self._told, ProgressEvent(organization=self._shard.organization, unit=self.unit)
        self._told_at, self._results = time.monotonic(), 0
        return told

    def finish(self) -> ProgressEvent:
        """The last event: all steps were given out and all answers counted."""
        for folder in self._folders.values() if self._may_finish else ():
            finished = folder.finished(self._shard.organization)
            if finished is not None:
                self._told.finished.append(finished)
        if self._proof is not None:
            self._proof.finish(self._told)
        return self.tell()

    def _rests_on_earlier(self, proof: _ShardProof) -> bool:
        """Whether an earlier run proved this shard and both ends list it as they did then: it is counted, and nothing is read."""
        known = self._assignment.proven
        if known is None or not proof.may_rest_on(known):
            return False
        told, self._told = self._told, ProgressEvent(organization=self._shard.organization, unit=self.unit)
        overflow, self._overflow = self._overflow, None  # what is told cannot be taken back, and may have to be
        for pair in proof.watch(self._pairs()):
            if pair.source is not None:
                for count in (self._told.tally[Outcome.PROVEN], self._told.tally.present_unseen):
                    count.add(pair.source.size)
            elif pair.target is not None:
                self._note_extra(pair.target)
        self._overflow = overflow
        if proof.state != known.state or self._told.tally.unreadable_folders:
            self._told = told
            proof.forget()
            return False
        self._told.relied_upon.append(known)
        proof.keep(known)
        return True

    def _count_proof(self, proof: _ShardProof, result: Result) -> None:
        if result.outcome is not Outcome.PROVEN:
            proof.is_whole = False
        elif result.digests is not None and self._pass.proofs is not None and self._pass.proofs.sheets is not None:
            raw_file = RawFile(self._shard.organization, result.entry.raw_id)
            where = self._pass.target.describe(raw_file)
            proof.rows.append(ManifestRow(raw_file, result.digests, where, time.time(), result.evidence))

    def _pairs(self) -> Iterator[Pair]:
        whole, assignment = self._pass, self._assignment
        if self._may_finish and not assignment.lists_target and not assignment.target_is_empty:
            return self._pairs_of_changed_folders()
        source = whole.source.scan(self._shard, self._notify)
        if whole.ages:
            source = admitted(source, whole.ages)
        if whole.sample is not None:
            takes = whole.sample.takes(self._shard.organization)
            source = (entry for entry in source if takes(entry.raw_id))
        if assignment.target_is_empty:
            return compare(source, ())
        pairs = compare(source, whole.target.scan(self._shard, self._notify))
        return pairs if whole.sample is None else _with_source(pairs)

    def _pairs_of_changed_folders(self) -> Iterator[Pair]:
        """Count the folders whose raw files are as they were when they were finished, with one stat each; list the others at the target."""
        opened: list[Entry] = []
        for prefix, group in groupby(self._pass.source.scan(self._shard, self._notify), index_of):
            entries = list(group)
            folder = self._finished.get(prefix)
            parts = parted(folder, entries) if folder is not None else None
            if folder is None or parts is None or parts.others:
                opened += entries
                continue
            for count in (self._told.tally[Outcome.PRESENT], self._told.tally.present_unseen):
                count.merge(Count(folder.files, folder.bytes))
        if opened:
            yield from compare(opened, self._target_of(list(dict.fromkeys(map(index_of, opened)))))

    def _target_of(self, prefixes: Sequence[str]) -> Iterator[Entry]:
        """What the target has of these index folders: listed each for itself, or picked from the whole listing."""
        target = self._pass.target
        if len(prefixes) <= _LISTED_ONE_BY_ONE:
            shards = (Shard(self._shard.organization, prefix) for prefix in prefixes)
            return chain.from_iterable(target.scan(shard, self._notify) for shard in shards)
        wanted = frozenset(prefixes)
        return (entry for entry in target.scan(self._shard, self._notify) if index_of(entry) in wanted)

    def _judged(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, _Known]]:
        """Each pair with what an earlier run tells of it; the pairs of a folder that was finished are gathered for that."""
        if not self._finished:
            for pair in pairs:
                yield pair, _Known.NOTHING
            return
        for prefix, group in groupby(pairs, index_of):
            folder = self._finished.get(prefix)
            if folder is not None:
                yield from self._judged_folder(folder, list(group))
                continue
            for pair in group:
                yield pair, _Known.NOTHING

    def _judged_folder(self, folder: FinishedFolder, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, _Known]]:
        work = self._work_in(folder.prefix)
        newest = folder.newest_ns
        parts = parted(folder, [pair.source for pair in pairs if pair.source is not None])
        if parts is None:
            known = None
            at_both_ends = (pair.target for pair in pairs if pair.source is not None)
            work.was_own = folder.is_own and holds(folder, at_both_ends)
        else:
            known = _Known.UNCHANGED
            work.is_open = bool(parts.others)  # else it stays finished as it is
            if not holds(folder, (pair.target for pair in pairs if pair.source and pair.source.changed_ns <= newest)):
                known, work.is_open = _Known.CHANGED, True
                self._told.outdated.append((self._shard.organization, folder.prefix))
        for pair in pairs:
            if pair.source is None:
                yield pair, _Known.NOTHING
            elif known is None:
                yield pair, _Known.CHANGED
            else:
                yield pair, known if pair.source.changed_ns <= newest else _Known.NOTHING

    def _steps(self, pairs: Iterable[tuple[Pair, _Known]]) -> Iterator[Step]:
        """What needs the sink; what is decided by the listings alone is counted on the way."""
        rules = self._pass.refusal if self._shard.organization in self._pass.refused else self._pass.rules
        stopping, denied = self._pass.stopping, self._assignment.denied
        for pair, known in pairs:
            source, target = pair.source, pair.target
            if source is None:
                if target is not None and not self._pass.is_partial:
                    self._note_extra(target)
                continue
            if self._may_finish and self._is_settled(source):
                self._work_in(index_of(source)).scanned(source)
            if known is _Known.UNCHANGED and target is not None:
                is_own = self._finished[index_of(source)].is_own
                self._count(Result(source, Outcome.PRESENT, version=target.version), is_own=is_own)
                continue
            if stopping.is_set():
                self._told.tally[Outcome.PENDING].add(source.size)
                self._leave_open(pair.raw_id)
                continue
            if denied is not None:
                self.count(Result(source, Outcome.FAILED, denied.reason, code=denied.name))
                self._relieve()
                continue
            action = rules[verdict_of(pair)]
            if action in _BY_LISTINGS:
                self.count(Result(source, *_BY_LISTINGS[action]))
                self._relieve()
                continue
            own_version = self._own_version(pair)
            if action is Action.ACCEPT and target is not None:
                if own_version is None and known is _Known.NOTHING:
                    self.count(Result(source, Outcome.PRESENT, version=target.version))
                    continue
                action = Action.COMPARE  # it may have changed since it was copied: its size alone does not tell
            step = Step(action, source, target, own_version)
            if action is Action.DIFFER and not step.may_replace:
                self.count(Result(source, Outcome.CONFLICT, different_size(source, target)))
                self._relieve()
            else:
                yield step

    def _own_version(self, pair: Pair) -> str | None:
        """The mark of this program's copy: of one that was made while the raw file was young, or of one in a folder of its own."""
        provisional = self._assignment.provisional.get(pair.raw_id)
        if provisional is not None:
            return provisional.version
        folder = self._folders.get(index_of(pair))
        return pair.target.version if folder is not None and folder.was_own and pair.target is not None else None

    def _work_in(self, prefix: str) -> FolderWork:
        work = self._folders.get(prefix)
        if work is None:
            work = self._folders[prefix] = FolderWork(prefix)
        return work

    def _is_settled(self, entry: Entry) -> bool:
        """Whether any later change will show in the entry; objects are written whole, and their ETags tell."""
        return entry.etag is not None or entry.changed_ns <= self._rested_before

    def _note_extra(self, target: Entry) -> None:
        self._told.tally.extra.add(target.size)
        if self._pass.lists_extra:
            raw_file = RawFile(self._shard.organization, target.raw_id)
            self._told.extra.append(
                Problem(
                    EXTRA,
                    raw_file.organization,
                    where := self._pass.target.describe(raw_file),
                    "only at the target",
                    target.raw_id,
                    target.size,
                    where,
                )
            )
            self._relieve()

    def _relieve(self) -> None:
        """Pass on what has piled up: a scan may go far before it comes to the next step."""
        if self._overflow and len(self._told.extra) + len(self._told.problems) >= TOLD_AFTER_RESULTS:
            self._overflow(self.tell())

    def _remember(self, result: Result, *, is_own: bool) -> None:
        """Only a data folder can show a raw file that is still growing; objects are written whole."""
        entry, outcome, organization = result.entry, result.outcome, self._shard.organization
        young = entry.etag is None and entry.changed_ns > self._young_after
        provisional = self._assignment.provisional.get(entry.raw_id)
        if young and outcome is Outcome.COPIED:
            self._told.provisional.append(
                Provisional(organization, entry.raw_id, entry.size, entry.changed_ns, result.version)
            )
        elif not young and outcome in _AT_TARGET and provisional is not None:
            self._told.settled.append((organization, entry.raw_id))
        if not self._may_finish or not self._is_settled(entry):
            return
        folder = self._work_in(index_of(entry))
        if outcome in _AT_TARGET:
            is_own = is_own or (provisional is not None and provisional.version == result.version)
            folder.at_target(entry, result.version, is_own=is_own)
        else:
            folder.is_open = False

    def _leave_open(self, raw_id: RawId) -> None:
        if self._proof is not None:
            self._proof.is_whole = False
        folder = self._folders.get(raw_id[:INDEX_LENGTH])
        if folder is not None:
            folder.is_open = False

    def _notify(self, notice: Notice) -> None:
        if notice.kind is NoticeKind.UNREADABLE_FOLDER:
            if self._proof is not None:
                self._proof.is_whole = False
            self._may_finish = False  # none of this shard's folders is known to be whole
        self._told.note(notice)
        self._relieve()

    def _tell_problem(self, result: Result) -> None:
        organization, raw_id = self._shard.organization, result.entry.raw_id
        raw_file = RawFile(organization, raw_id)
        self._told.problems.append(
            Problem(
                result.outcome.value,
                organization,
                self._pass.source.describe(raw_file),
                result.reason,
                raw_id,
                result.entry.size,
                self._pass.target.describe(raw_file),
                result.code,
                result.request_id,
            )
        )


_LISTED_AT_SOURCE = "<%s %s %s %s %s %s\n"
_LISTED_AT_TARGET = ">%s %s %s %s %s %s\n"
"""All fields of an entry."""


class _ShardProof:
    """What a verification keeps of one shard: what both ends listed, whether all of it is proven, and a manifest's rows."""

    def __init__(self, proofs: Proofs, assignment: Assignment, now_ns: int) -> None:
        self._proofs = proofs
        self._shard = assignment.shard
        self._rested_before = now_ns - proofs.rests_ns
        self._now = now_ns / 1e9
        self.rows: list[ManifestRow] = []
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._listed = hashlib.blake2b(digest_size=16)
        self._files = 0
        self._known: ProvenShard | None = None
        self.is_whole = True

    def may_rest_on(self, known: ProvenShard) -> bool:
        sheets = self._proofs.sheets
        return sheets is None or sheets.holds(self._shard, known.sheet)

    def keep(self, known: ProvenShard) -> None:
        self._known = known

    @property
    def state(self) -> str:
        return self._listed.hexdigest()

    def watch(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """The pairs as they come, taken down."""
        update, rested_before = self._listed.update, self._rested_before
        for pair in pairs:
            _, source, target = pair
            if source is not None:
                update((_LISTED_AT_SOURCE % source).encode())
                if source.etag is None and source.changed_ns > rested_before:
                    self.is_whole = False
            if target is not None:
                update((_LISTED_AT_TARGET % target).encode())
                if target.etag is None and target.changed_ns > rested_before:
                    self.is_whole = False
            self._files += 1
            yield pair

    def finish(self, told: ProgressEvent) -> None:
        """Called once all answers are counted: write the sheet, and tell the shard as proven if it is."""
        sheets, known = self._proofs.sheets, self._known
        sheet = known.sheet if known is not None else ""
        if sheets is not None:
            if known is None:
                sheet = sheets.write(self._shard, self.rows)
            told.sheets[self._shard.prefix] = sheet
        if self._files and self.is_whole and known is None:
            organization, prefix = self._shard
            told.proven.append(ProvenShard(organization, prefix, self._proofs.key, self.state, self._now, sheet))


def different_size(source: Entry, target: Entry | None) -> str:
    """The reason of a conflict of sizes; with both, where the target's is known."""
    if target is None:
        return DIFFERENT_SIZE
    return f"{DIFFERENT_SIZE} ({target.size:,} bytes, {source.size:,} at the source)"


def _with_source(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """What is only at the target was left out of the source by choice."""
    return (pair for pair in pairs if pair.source is not None)


def admitted(entries: Iterable[Entry], ages: Ages) -> Iterator[Entry]:
    """Yield the entries whose modification time (`LastModified` on S3) is meant, and those without one: they may be meant."""
    return (entry for entry in entries if ages.admits(entry.modified_ns / 1e9) or entry.is_undated)
