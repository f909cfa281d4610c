"""One shard's way: scan → compare → rules → sink → outcomes, told as events.

A shard is pulled for steps and pushed results, so that one thread can have several shards under way and no request waits for the end of
another shard. Events are told often; a shard that is killed loses nothing but what was not told yet.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

from migrator.ages import ANY_AGE, Ages
from migrator.compare import compare, verdict_of
from migrator.errors import AccessDenied, MustStop
from migrator.manifest import Row, Sheets
from migrator.model import (
    INDEX_LENGTH,
    Action,
    Count,
    Entry,
    FinishedFolder,
    Folder,
    Notice,
    NoticeKind,
    Outcome,
    Pair,
    Problem,
    ProvenShard,
    Provisional,
    RawFile,
    RawId,
    Result,
    Shard,
    Step,
    shards_of,
)
from migrator.protocols import Sink, Source
from migrator.rules import BY_SIZE, REFUSE, Rules
from migrator.stopping import Flag
from migrator.units import Assignment, Closed, Denial, Event, Survey, Surveyed, Told

TOLD_AFTER_RESULTS = 500
TOLD_AFTER_SECONDS = 0.5
PARTED_FROM_FILES = 200
PARTED_FROM_BYTES = 1 << 30
DIFFERENT_SIZE = "the target holds another size under this name"
NOT_AT_TARGET = "it is not at the target"
NO_VALID_NAME = "the organization has no valid bucket name at the target"
EXTRA = "extra"
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
    sheets: Sheets | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What all units of a run share.

    `settle_ns`: a raw file that changed less than this ago may still be written to. `remembers`: a ledger is kept, so the state of index
    folders matters. `refusal` are the rules for organizations without a valid name at the target. `tells_copied`: name each raw file that
    was copied. `ages`: which raw files of the source count, `sample`: which of those; where any is left out, nothing is extra and no
    folder is finished. `parted`: organizations have buckets of their own; `denied` are those whose buckets refuse. `lists_extra`: each raw
    file that is only at the target is told by name. `spread`: many workers want their part of each organization.
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
    pick: Callable[[Sequence[Shard]], Shard] = random.choice

    @property
    def is_partial(self) -> bool:
        """Whether raw files are left out on purpose."""
        return bool(self.ages) or self.sample is not None

    def survey(self, unit: Survey, overflow: Callable[[Told], None] | None = None) -> Iterator[Event]:
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
        holds = not unit.finished or (not empty and self._still_holds(unit, length))
        told = Told(organization=organization, unit=unit.number)
        changed = self._changed(unit, told) if unit.finished and holds and not self.ages else None
        yield Surveyed(
            organization=organization,
            length=length,
            target_is_empty=empty,
            ledger_holds=holds,
            changed=changed,
            denied=denied,
            unit=unit.number,
        )
        if length or changed is not None:

            def note(notice: Notice) -> None:
                nonlocal told
                told.note(notice)
                if overflow is not None and len(told.problems) >= TOLD_AFTER_RESULTS:
                    overflow(told)
                    told = Told(organization=organization, unit=unit.number)

            looked_through = (self.source,) if empty or changed is not None else (self.source, self.target)
            for store in looked_through:
                store.scan_strays(organization, note, length=length or 1)
            yield told

    def _look_at_target(self, organization: str) -> tuple[bool, Denial | None]:
        """Whether nothing of it is at the target; and why nothing can be, where its bucket alone refuses."""
        if organization in self.refused or organization in self.denied:
            return True, self.denied.get(organization)
        try:
            return self.target.is_empty(organization), None
        except AccessDenied as error:
            if not self.parted:
                raise
            return True, Denial(error.name, str(error))

    def _is_worth_parting(self, organization: str) -> bool:
        """Whether the first raw files are many, or large: found with one page of a listing, or a few folders."""
        size = 0
        first = islice(self.source.scan(Shard(organization), lambda notice: None), PARTED_FROM_FILES)
        for number, entry in enumerate(first, 1):
            size += entry.size
            if number == PARTED_FROM_FILES or (number > 1 and size >= PARTED_FROM_BYTES):
                return True
        return False

    def _changed(self, unit: Survey, told: Told) -> tuple[Folder, ...] | None:
        """The index folders that are not as the ledger knows them, with one stat for each; the others' files are counted, unseen."""
        changed = []
        folders = self.source.folders(Shard(unit.organization))
        for folder in folders:
            known = unit.finished.get(folder.prefix)
            if known is None or known.fingerprint != folder.fingerprint:
                changed.append(folder)
                continue
            for count in (told.tally[Outcome.PRESENT], told.tally.present_unseen):
                count.merge(Count(known.files, known.bytes))
        return tuple(changed) if len(changed) < len(folders) else None

    def _still_holds(self, unit: Survey, length: int) -> bool:
        """A quick look at one shard of the target, another one each time: does it have what the ledger says was finished?"""
        shard = self.pick(list(shards_of(unit.organization, length)))
        found = Counter(entry.raw_id[:INDEX_LENGTH] for entry in self.target.scan(shard, lambda notice: None))
        claimed = (folder for prefix, folder in unit.finished.items() if prefix.startswith(shard.prefix))
        return all(found[folder.prefix] >= folder.files for folder in claimed)


class ShardPass:
    """One shard while it is worked through: `steps` gives what the sink has to do, `count` takes its answers.

    `overflow` takes what must not wait for the next step, however many names come before it.
    """

    def __init__(self, whole: Pass, assignment: Assignment, overflow: Callable[[Told], None] | None = None) -> None:
        self._pass = whole
        self._overflow = overflow
        self._assignment = assignment
        self._shard = assignment.shard
        self._young_after = whole.clock_ns() - whole.settle_ns
        self._told = Told(organization=self._shard.organization, unit=assignment.number)
        self._told_at = time.monotonic()
        self._results = 0
        only = assignment.only
        folders = only if only is not None else self._all_folders()
        self._open_folders = {folder.prefix: _FolderCount(folder) for folder in folders}
        self._has_folders = bool(folders)
        self.organization = self._shard.organization
        self.unit = assignment.number
        self._proof = _ShardProof(whole.proofs, assignment, whole.clock_ns()) if whole.proofs is not None else None
        if self._proof is not None and self._rests_on_earlier(self._proof):
            self.steps: Iterator[Step] = iter(())
            return
        if assignment.entries is not None:
            pairs = self._given(assignment.entries)
        else:
            pairs = self._pairs(None if only is None else [folder.prefix for folder in only])
        self.steps = self._steps(pairs if self._proof is None else self._proof.watch(pairs))

    def _all_folders(self) -> Sequence[Folder]:
        """Those that this pass may find to be finished."""
        whole = self._pass
        matters = whole.remembers and not whole.ages and self._assignment.entries is None
        return whole.source.folders(self._shard) if matters else ()

    def _given(self, entries: Iterable[Entry]) -> Iterator[Pair]:
        """Raw files that are new at the source, or were copied while they were young: then what we left at the target is known."""
        provisional = self._assignment.provisional
        for entry in entries:
            own = provisional.get(entry.raw_id)
            left = Entry(entry.raw_id, own.size, own.mark) if own is not None else None
            yield Pair(entry.raw_id, entry, left)

    def count(self, result: Result) -> None:
        """Take down how a raw file ended."""
        entry, outcome = result.entry, result.outcome
        self._results += 1
        self._told.tally.outcomes[outcome].add(entry.size)
        self._told.shape.add(entry.size, entry.modified_ns, moved=outcome in _MOVED)
        if outcome not in _UNREMARKABLE or result.reason:
            self._tell_problem(result)
        if outcome is Outcome.COPIED and self._pass.tells_copied:
            self._told.copied.append(entry)
        if self._has_folders or self._assignment.entries is not None:
            self._count_in_folder(result)
        elif self._proof is not None:
            self._count_proof(self._proof, result)

    @property
    def is_time_to_tell(self) -> bool:
        return self._results >= TOLD_AFTER_RESULTS or (
            self._results > 0 and time.monotonic() - self._told_at > TOLD_AFTER_SECONDS
        )

    def tell(self) -> Told:
        """What has happened since this was last called."""
        told, self._told = self._told, Told(organization=self._shard.organization, unit=self.unit)
        self._told_at, self._results = time.monotonic(), 0
        return told

    def finish(self) -> Told:
        """The last event: all steps were given out and all answers counted."""
        for folder in self._open_folders.values():
            if folder.finished and folder.is_settled(self._young_after):
                self._told.finished.append(folder.as_finished(self._shard.organization))
        if self._proof is not None:
            self._proof.finish(self._told)
        return self.tell()

    def _rests_on_earlier(self, proof: _ShardProof) -> bool:
        """Whether an earlier run proved this shard and both ends list it as they did then: it is counted, and nothing is read."""
        known = self._assignment.proven
        if known is None or not proof.may_rest_on(known):
            return False
        told, self._told = self._told, Told(organization=self._shard.organization, unit=self.unit)
        overflow, self._overflow = self._overflow, None  # what is told cannot be taken back, and may have to be
        for pair in proof.watch(self._pairs(None)):
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
            proof.rows.append(Row(raw_file, result.digests, where, time.time(), result.mark))

    def _pairs(self, only: Sequence[str] | None) -> Iterator[Pair]:
        source = self._scan(self._pass.source, only, one_by_one=True)
        if self._pass.ages:
            source = admitted(source, self._pass.ages)
        if self._pass.sample is not None:
            takes = self._pass.sample.takes(self._shard.organization)
            source = (entry for entry in source if takes(entry.raw_id))
            if not self._assignment.target_is_empty:
                return _with_source(compare(source, self._scan(self._pass.target, only, one_by_one=False)))
        if self._assignment.target_is_empty:
            return compare(source, ())
        few = only is not None and len(only) <= _LISTED_ONE_BY_ONE
        return compare(source, self._scan(self._pass.target, only, one_by_one=few))

    def _scan(self, store: Source, only: Sequence[str] | None, *, one_by_one: bool) -> Iterator[Entry]:
        """The shard's entries, or those in some of its index folders: listed each for itself, or picked from the whole listing."""
        organization = self._shard.organization
        if only is None:
            return store.scan(self._shard, self._notify)
        if one_by_one:
            return chain.from_iterable(store.scan(Shard(organization, index), self._notify) for index in only)
        wanted = frozenset(only)
        return (entry for entry in store.scan(self._shard, self._notify) if entry.raw_id[:INDEX_LENGTH] in wanted)

    def _steps(self, pairs: Iterable[Pair]) -> Iterator[Step]:
        """What needs the sink; what is decided by the listings alone is counted on the way."""
        rules = BY_SIZE if self._assignment.by_size else self._pass.rules
        rules = self._pass.refusal if self._shard.organization in self._pass.refused else rules
        provisional = self._assignment.provisional
        stopping, denied = self._pass.stopping, self._assignment.denied
        for pair in pairs:
            source, target = pair.source, pair.target
            if source is None:
                if target is not None and not self._pass.is_partial:
                    self._note_extra(target)
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
            own = provisional.get(pair.raw_id)
            if action is Action.ACCEPT:
                if own is None:
                    self.count(Result(source, Outcome.PRESENT))
                    continue
                action = Action.COMPARE  # copied while it was still young: its size alone does not tell
            step = Step(action, source, target, own.mark if own else None)
            if action is Action.DIFFER and not step.may_replace:
                self.count(Result(source, Outcome.CONFLICT, DIFFERENT_SIZE))
                self._relieve()
            else:
                yield step

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

    def _count_in_folder(self, result: Result) -> None:
        """Only a data folder can show a raw file that is still growing; objects are written whole."""
        entry, outcome, organization = result.entry, result.outcome, self._shard.organization
        young = entry.changed_ns > self._young_after
        if young and outcome is Outcome.COPIED:
            self._told.provisional.append(
                Provisional(organization, entry.raw_id, entry.size, entry.changed_ns, result.mark)
            )
        elif not young and outcome in _AT_TARGET and entry.raw_id in self._assignment.provisional:
            self._told.settled.append((organization, entry.raw_id))
        folder = self._open_folders.get(entry.raw_id[:INDEX_LENGTH])
        if folder is not None:
            folder.count(entry.size, finished=not young and outcome in _AT_TARGET)

    def _leave_open(self, raw_id: RawId) -> None:
        if self._proof is not None:
            self._proof.is_whole = False
        folder = self._open_folders.get(raw_id[:INDEX_LENGTH])
        if folder is not None:
            folder.finished = False

    def _notify(self, notice: Notice) -> None:
        if notice.kind is NoticeKind.UNREADABLE_FOLDER:
            if self._proof is not None:
                self._proof.is_whole = False
            self._open_folders.clear()  # none of this shard's folders is known to be whole
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


_LISTED_AT_SOURCE = "<%s %s %s %s %s\n"
_LISTED_AT_TARGET = ">%s %s %s %s %s\n"
"""All fields of an entry."""


class _ShardProof:
    """What a verification keeps of one shard: what both ends listed, whether all of it is proven, and a manifest's rows."""

    def __init__(self, proofs: Proofs, assignment: Assignment, now_ns: int) -> None:
        self._proofs = proofs
        self._shard = assignment.shard
        self._rested_before = now_ns - proofs.rests_ns
        self._now = now_ns / 1e9
        self.rows: list[Row] = []
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

    def finish(self, told: Told) -> None:
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


def _with_source(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """What is only at the target was left out of the source by choice."""
    return (pair for pair in pairs if pair.source is not None)


def admitted(entries: Iterable[Entry], ages: Ages) -> Iterator[Entry]:
    """The entries of raw files whose modification time (`LastModified` on S3) is meant."""
    return (entry for entry in entries if ages.admits(entry.modified_ns / 1e9))


class _FolderCount:
    """An index folder that is being worked through."""

    __slots__ = ("_bytes", "_files", "_folder", "finished")

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._files = 0
        self._bytes = 0
        self.finished = True

    def count(self, size: int, *, finished: bool) -> None:
        self._files += 1
        self._bytes += size
        self.finished = self.finished and finished

    def is_settled(self, young_after: int) -> bool:
        """Whether the folder's own state is old enough that any later change will show in it."""
        fingerprint = self._folder.fingerprint
        return max(fingerprint.modified_ns, fingerprint.changed_ns) <= young_after

    def as_finished(self, organization: str) -> FinishedFolder:
        return FinishedFolder(organization, self._folder.prefix, self._folder.fingerprint, self._files, self._bytes)
