"""Deleting at the source what the target proves to have.

First a proof of everything, written down; then, for each raw file, another proof and the deletion.

Nothing here deletes by difference, by listing, or by what an earlier run believed. A raw file goes only if at this moment both ends were
read and are equal, and its source is still as it was when it was read. Whatever is not as the first proof found it ends the run.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from migrator.checks.audit.audit import AuditSample
from migrator.checks.audit.records import Recorded
from migrator.checks.proofs_in_order import ProofsInOrder
from migrator.checks.verify import digests_of, prove_content
from migrator.config.time_filter import Ages
from migrator.core.cancellation import Flag
from migrator.core.entities import Digests, Entry, Pair, RawFile, RawId, Shard, shards_of
from migrator.core.equality import ProofKind
from migrator.core.errors import Interrupted, MustStop, SourceChanged, StoreError
from migrator.core.outcomes import Denial, Notice, NoticeKind, Problem, Result, ignore_notice
from migrator.core.protocols import Source
from migrator.core.size_classes import SMALL_UP_TO
from migrator.core.tally import Count
from migrator.ledger.directory import sync_folder
from migrator.sync.compare import compare
from migrator.sync.manifest import ROWS, SUMS, ManifestRow
from migrator.sync.shard.deciding import NO_VALID_NAME, NOT_AT_TARGET
from migrator.sync.shard.listing import admitted
from migrator.transfer.batch_sink import FastLane

PROBLEMS_SHOWN = 1_000
BATCH = 500
"""Raw files between whose proof and deletion no other proof lies; S3 deletes up to 1,000 with one request."""
BATCH_BYTES = 1 << 30
"""And bytes: what was proven hours ago is not proven at this moment. A larger raw file is a batch alone."""
ASKED = 20
"""Raw files that are asked for at once."""
FIRST = 100
"""Deleted raw files after which they are asked for."""
_READERS = 8

ReadSmall = Callable[[RawFile, int], "tuple[bytes, Entry] | None"]
"""Content and state of a raw file of so many bytes in one go; None where that did not go well and the careful way has to look."""


class Asks(Protocol):
    """Asks whether raw files can be read, where they have to be read. Raises MigratorError at the first one that cannot."""

    def before(self, raw_files: Sequence[RawFile]) -> None:
        """Ask for raw files of which none was deleted yet."""
        ...

    def after(self, raw_files: Sequence[RawFile]) -> None:
        """Ask for raw files that were deleted at the source."""
        ...


class Remover(Protocol):
    """The source, opened for deleting from it. Whoever holds one has proven what it deletes. Its methods raise StoreError."""

    def remove(self, proven: Sequence[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Delete raw files that are still as their entries say; answers each once, with what kept it or None."""
        ...

    def mark(self, raw_file: RawFile) -> tuple[RawFile, Callable[[], None]]:
        """Put something beside a raw file under a new name that is no raw file's.

        Returns it as what a store at the same place would find, and what takes it away again.
        """
        ...

    def remove_empty_folders(self) -> int:
        """Remove the folders that deleting left empty; how many. None where a store has no folders."""
        ...


@dataclass(slots=True)
class PruneTally:
    """What became of the raw files of an organization. `discovered` is the sum of the others' ends."""

    discovered: Count = field(default_factory=Count)
    deletable: Count = field(default_factory=Count)
    deleted: Count = field(default_factory=Count)
    kept: Count = field(default_factory=Count)

    def merge(self, other: PruneTally) -> None:
        """Add every count of another tally."""
        for mine, its in zip(self.counts(), other.counts(), strict=True):
            mine.merge(its)

    def counts(self) -> tuple[Count, ...]:
        """Return its counts, in the order of the reports."""
        return self.discovered, self.deletable, self.deleted, self.kept

    def as_dict(self, *, dry_run: bool) -> dict[str, dict[str, int]]:
        """Always ``discovered = deletable + kept``; once it was done, ``discovered = deleted + kept + pending``."""
        pending = Count()
        if not dry_run:
            pending = Count(self.deletable.files - self.deleted.files, self.deletable.bytes - self.deleted.bytes)
        named = ("discovered", "deletable", "deleted", "kept")
        told = {name: count.as_dict() for name, count in zip(named, self.counts(), strict=True)}
        return {**told, "pending": pending.as_dict()}


@dataclass(slots=True)
class Pruned:
    """What a run came to, with the first problems: each raw file that was kept, and why.

    `undated`: raw files that were left alone because they have no date, and an age was asked for. `listed` is called with each problem,
    also where more are met than are kept here.
    """

    organizations: dict[str, PruneTally] = field(default_factory=dict)
    kept_by: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    problems_total: int = 0
    strays: int = 0
    undated: int = 0
    folders_removed: int = 0
    listed: Callable[[Problem], None] = lambda problem: None

    def keep(self, raw_file: RawFile, entry: Entry, kind: str, where: str, reason: str) -> None:
        """Count a raw file that stays; `kind` groups the reasons."""
        self.organizations[raw_file.organization].kept.add(entry.size)
        self.kept_by[kind] += 1
        self.tell(Problem("kept", raw_file.organization, where, reason, raw_file.raw_id, entry.size))

    def tell(self, problem: Problem) -> None:
        """Count a problem, and keep it if few are kept yet."""
        self.problems_total += 1
        self.listed(problem)
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(problem)

    def overall(self) -> PruneTally:
        """Return the sum of all organizations."""
        total = PruneTally()
        for tally in self.organizations.values():
            total.merge(tally)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Both ends as they are read; `small_source` and `small_target` give small raw files of disks in one go.

    `lane` reads and compares small raw files where an end is on S3; without it, threads do.

    `settle` brings what lies at the target to its medium, where it may still be in this machine's memory alone. Raises StoreError.
    `is_one_folder` says whether the part of the source that a raw file is in is the target's, too, as far as can be known without
    writing. `still_held` raises MustStop if another run could delete at either end by now; called before each batch of an organization.
    """

    source: Source
    target: Source
    small_source: ReadSmall
    small_target: ReadSmall
    lane: FastLane | None = None
    settle: Callable[[], None] = lambda: None
    folder_of: Callable[[RawFile], str] = lambda raw_file: raw_file.organization
    """Names the part of the source that could be the target's under another name: a mount can lead there from any index folder."""
    is_one_folder: Callable[[RawFile], bool] = lambda raw_file: False
    still_held: Callable[[str], None] = lambda organization: None
    read_by_bytes: Sequence[tuple[str, Source]] = ()
    """Where Bytes reads, in words and as a store, if that may be the source under another name."""


class _Folders:
    """The parts of the source that were met, of which the last one may come again."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._last = ""

    def is_new(self, raw_file: RawFile) -> bool:
        folder = self._ends.folder_of(raw_file)
        is_new, self._last = folder != self._last, folder
        return is_new

    def refuse_one(self, raw_file: RawFile) -> None:
        """Look whether the part that this raw file is in is one place under two names.

        Raises:
            MustStop: If it is.
        """  # noqa: DOC501 made by _same_place
        if self._ends.is_one_folder(raw_file):
            raise _same_place(
                f"{self._ends.source.describe(raw_file)} and {self._ends.target.describe(raw_file)} are in one and the same folder."
            )


class PruneProof:
    """Goes through everything once, and writes down what could go. `manifest` None: nothing is written, it is only counted."""

    def __init__(
        self,
        ends: Ends,
        *,
        ages: Ages,
        refused: frozenset[str],
        stopping: Flag,
        told: Callable[[int], None],
        sample: AuditSample | None = None,
        denied: Mapping[str, Denial] | None = None,
        listed: Callable[[Problem], None] = lambda problem: None,
    ) -> None:
        """`sample` is offered each raw file that could go. `denied`: organizations whose bucket at the target refuses, so all is kept."""
        self._sample = sample
        self._ends = ends
        self._ages = ages
        self._refused = refused
        self._denied = denied or {}
        self._stopping = stopping
        self._told = told
        self.pruned = Pruned(listed=listed)

    def run(self, organizations: Iterable[str], manifest: ManifestOfRun | None) -> None:
        """Raises MigratorError."""
        folders = _Folders(self._ends)
        with _readers() as pool:
            for organization in organizations:
                self.pruned.organizations[organization] = PruneTally()
                with ExitStack() as stack:
                    write = stack.enter_context(manifest.of(organization)) if manifest is not None else None
                    for pair, future in self._proofs(pool, organization):
                        raw_file = RawFile(organization, pair.raw_id)
                        if pair.target is not None and folders.is_new(raw_file):
                            folders.refuse_one(raw_file)
                        self._count(raw_file, pair, future, write)

    def _proofs(
        self, pool: ThreadPoolExecutor, organization: str
    ) -> Iterator[tuple[Pair, Future[Digests | str] | None]]:
        """Pairs in order with their proofs, a few read ahead; None where listings alone say that there is none."""
        is_open = organization not in self._refused and organization not in self._denied

        def ends_of(pair: Pair) -> tuple[RawFile, Entry, Entry] | None:
            if self._stopping.is_set():
                raise Interrupted("interrupted", "The run was asked to stop.")
            if pair.source is None or pair.target is None or not is_open:
                return None
            return RawFile(organization, pair.raw_id), pair.source, pair.target

        proofs: ProofsInOrder[Pair, Digests | str] = ProofsInOrder(
            self._ends.lane,
            pool,
            ends_of=ends_of,
            taken=lambda pair, result: result.digests,
            slowly=lambda pair: self._prove(RawFile(organization, pair.raw_id), pair),
        )
        return proofs.run(self._pairs(organization))

    def _pairs(self, organization: str) -> Iterator[Pair]:
        length = self._ends.source.shard_length(organization)
        if length:
            self._ends.source.scan_strays(organization, self._note, length=length)
        for shard in shards_of(organization, length):
            source = self._of_age(self._ends.source.scan(shard, self._note))
            target = self._target_entries(shard)
            yield from (pair for pair in compare(source, target) if pair.source is not None)

    def _of_age(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Yield the entries that the age options mean. One without a date is kept, and counted: nothing says that it is old enough."""
        if not self._ages:
            yield from entries
            return
        for entry in admitted(entries, self._ages):
            if entry.is_undated:
                self.pruned.undated += 1
            else:
                yield entry

    def _target_entries(self, shard: Shard) -> Iterable[Entry]:
        if (
            shard.organization in self._refused
            or shard.organization in self._denied
            or self._ends.target.is_empty(shard.organization)
        ):
            return ()
        return self._ends.target.scan(shard, ignore_notice)

    def _note(self, notice: Notice) -> None:
        if notice.kind is NoticeKind.STRAY:
            self.pruned.strays += 1
        if notice.kind is NoticeKind.UNREADABLE_FOLDER:
            self.pruned.tell(Problem(notice.kind.value, notice.organization, notice.where, notice.reason))

    def _prove(self, raw_file: RawFile, pair: Pair) -> Digests | str:
        """Return the digests of what is at both ends, or why it is not proven to be equal.

        Raises:
            Interrupted: If the run is asked to stop.
        """
        if pair.source is None or pair.target is None:
            return NOT_AT_TARGET
        try:
            found = proof_of(self._ends, raw_file, pair.source, pair.target)
        except Interrupted:
            raise
        except StoreError as error:
            return error.what
        return found[0] if not isinstance(found, str) else found

    def _count(
        self, raw_file: RawFile, pair: Pair, future: Future[Digests | str] | None, write: WriteRow | None
    ) -> None:
        source = pair.source
        if source is None:
            return
        tally = self.pruned.organizations[raw_file.organization]
        tally.discovered.add(source.size)
        where = self._ends.source.describe(raw_file)
        if future is None:
            kind, reason = ("refused", NO_VALID_NAME) if pair.target is not None else ("missing", NOT_AT_TARGET)
            if raw_file.organization in self._refused:
                kind, reason = "refused", NO_VALID_NAME
            elif raw_file.organization in self._denied:
                kind, reason = "refused", self._denied[raw_file.organization].reason
            self.pruned.keep(raw_file, source, kind, where, reason)
        else:
            found = future.result()
            if isinstance(found, str):
                self.pruned.keep(raw_file, source, "unproven", where, found)
            else:
                tally.deletable.add(source.size)
                if self._sample is not None:
                    self._sample.offer(Recorded(*raw_file))
                if write is not None:
                    write(
                        ManifestRow(
                            raw_file,
                            found,
                            self._ends.target.describe(raw_file),
                            time.time(),
                            ProofKind.BOTH_READ.value,
                        )
                    )
        self._told(1)


def proof_of(ends: Ends, raw_file: RawFile, source: Entry, target: Entry) -> tuple[Digests, Entry] | str:
    """Read both ends in full, now: the digests and the source as it was read, or why they are no proof. Raises StoreError."""
    if source.size != target.size:
        return "the target holds another size under this name"
    at_once = _proof_at_once(ends, raw_file, source.size)
    if at_once is not None:
        return at_once
    proof = prove_content(raw_file, ends.source, source, ends.target, target)
    if not proof.is_proven or proof.digests is None or proof.entry is None:
        return proof.reason or "the contents could not be proven to be equal"
    return proof.digests, proof.entry


def _proof_at_once(ends: Ends, raw_file: RawFile, size: int) -> tuple[Digests, Entry] | None:
    """A small raw file, read at both ends in one go; None for all that is not surely equal."""
    if not 0 < size <= SMALL_UP_TO:
        return None
    here, there = ends.small_source(raw_file, size), ends.small_target(raw_file, size)
    if here is None or there is None or here[0] != there[0]:
        return None
    return digests_of(here[0]), here[1]


def _ends_now(row: tuple[RawFile, Digests]) -> tuple[RawFile, Entry, Entry]:
    """The ends of a row of the manifest, of whose states nothing is known any more."""
    raw_file, digests = row
    entry = Entry(raw_file.raw_id, digests.size)
    return raw_file, entry, entry


WriteRow = Callable[[ManifestRow], None]


class ManifestOfRun:
    """What is to go, with its digests, as `verify` writes manifests: durable before anything is deleted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, for this user alone.

        Raises:
            MustStop: If it cannot be made.
        """  # noqa: DOC501 made by _unwritable
        try:
            self.folder.mkdir(mode=0o700, parents=True)
            for folder in (self.folder.parent, self.folder.parent.parent):
                sync_folder(folder)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def discard(self) -> None:
        """Take it away: nothing that it names was deleted."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def of(self, organization: str) -> _Writing:
        """Return the organization's file, to be opened for writing."""
        return _Writing(self.folder, organization)

    def rows(self, organization: str) -> Iterator[tuple[RawFile, Digests]]:
        """Yield what was written, in order.

        Raises:
            MustStop: If it cannot be read any more.
        """  # noqa: DOC501 made by surprise
        path = self.folder / f"{organization}{ROWS}"
        try:
            with path.open(encoding="ascii") as lines:
                for line in lines:
                    row = json.loads(line)
                    yield RawFile(organization, RawId(row["id"])), Digests(row["size"], row["sha256"], row["md5"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not what was written"
            raise surprise(f"The manifest {path} cannot be read any more ({said}).") from error


class _Writing:
    """An organization's two files while they are written."""

    def __init__(self, folder: Path, organization: str) -> None:
        self._paths = [folder / f"{organization}{kind}" for kind in (SUMS, ROWS)]
        self._files: list[IO[str]] = []

    def __enter__(self) -> WriteRow:
        try:
            self._files = [path.open("x", encoding="utf-8", errors="surrogateescape") for path in self._paths]
        except OSError as error:
            raise _unwritable(self._paths[0], error) from error
        return self._write

    def _write(self, row: ManifestRow) -> None:
        try:
            self._files[0].write(row.as_sum())
            self._files[1].write(row.as_json())
        except OSError as error:
            raise _unwritable(self._paths[0], error) from error

    def __exit__(self, kind: object, *_: object) -> None:
        """Bring the file to the medium; most rows reach the disk only here, and so do most errors of a full one.

        Raises:
            MustStop: If that fails.
        """  # noqa: DOC501 made by _unwritable
        try:
            for file in self._files:
                file.flush()
                os.fchmod(file.fileno(), 0o600)
                os.fsync(file.fileno())
            sync_folder(self._paths[0].parent)
        except OSError as error:
            if kind is None:
                raise _unwritable(self._paths[0], error) from error
        finally:
            for file in self._files:
                with suppress(OSError):
                    file.close()


@contextmanager
def _readers() -> Iterator[ThreadPoolExecutor]:
    """Threads that read; what none of them has begun with is not begun any more once an error ends it."""
    pool = ThreadPoolExecutor(_READERS, thread_name_prefix="prove")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def batches(
    rows: Iterable[tuple[RawFile, Digests]], most: Callable[[], int] = lambda: BATCH
) -> Iterator[list[tuple[RawFile, Digests]]]:
    """Rows in order, in batches of so many bytes and at most so many files, which is asked for each row."""
    batch: list[tuple[RawFile, Digests]] = []
    total = 0
    for row in rows:
        if batch and (len(batch) >= most() or total + row[1].size > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(row)
        total += row[1].size
    if batch:
        yield batch


def _unwritable(path: Path, error: OSError) -> MustStop:
    return MustStop(
        "manifest-unwritable",
        f"The manifest {path} cannot be written ({error.strerror or error}).",
        why="Nothing is deleted without a list of what goes.",
        cure="Make room in the state folder, or name another with --state-dir. Nothing was deleted.",
    )


class Pruning:
    """Deletes what the manifest names: each batch is proven once more, and goes at once."""

    def __init__(
        self,
        ends: Ends,
        remover: Remover,
        pruned: Pruned,
        *,
        stopping: Flag,
        told: Callable[[int], None],
        asks: Asks | None = None,
    ) -> None:
        """`asks` is asked for some of the first hundred raw files once they are deleted, or of all where there are fewer."""
        self._asks = asks
        self._gone: list[RawFile] = []
        self._ends = ends
        self._remover = remover
        self._pruned = pruned
        self._stopping = stopping
        self._told = told

    def run(self, manifest: ManifestOfRun, organizations: Iterable[str]) -> None:
        """Raises MustStop at the first surprise; what was deleted by then is counted."""
        folders = _Folders(self._ends)
        with _readers() as pool:
            proofs = ProofsInOrder(
                self._ends.lane, pool, ends_of=_ends_now, taken=self._proven_by_lane, slowly=self._proven
            )
            for organization in organizations:
                for batch in batches(manifest.rows(organization), self._most):
                    if self._stopping.is_set():
                        return
                    with _surprising():
                        self._ends.still_held(organization)
                        for raw_file in filter(folders.is_new, (raw_file for raw_file, _ in batch)):
                            folders.refuse_one(raw_file)
                            self._refuse_same_place(raw_file)
                        self._ends.settle()
                    self._remove(organization, [proof.result() for _, proof in proofs.run(batch) if proof is not None])
                    if len(self._gone) >= FIRST:
                        self._ask()
        self._ask()
        self._pruned.folders_removed = self._remover.remove_empty_folders()

    def _most(self) -> int:
        return BATCH if self._asks is None else FIRST - len(self._gone)

    def _ask(self) -> None:
        """Ask for a sample of what went first; once."""
        if self._asks is not None:
            self._asks.after(self._gone[:: max(1, len(self._gone) // ASKED)][:ASKED])
            self._asks = None

    def _proven(self, row: tuple[RawFile, Digests]) -> tuple[RawFile, Entry]:
        """Prove again, at this moment, that the raw file is at both ends; return it with its state.

        Raises:
            MustStop: If anything is not what the first proof found.
        """  # noqa: DOC501 made by surprise
        raw_file, digests = row
        where = self._ends.source.describe(raw_file)
        with _surprising():
            found: tuple[Digests, Entry] | str | None = _proof_at_once(self._ends, raw_file, digests.size)
            if found is None:
                source, target = self._ends.source.stat(raw_file), self._ends.target.stat(raw_file)
                if source is None or target is None:
                    raise surprise(f"{where} is not at the {'source' if source is None else 'target'} any more.")
                found = proof_of(self._ends, raw_file, source, target)
        if isinstance(found, str):
            raise surprise(f"{where}: {found}.")
        return self._as_before(raw_file, digests, *found)

    def _proven_by_lane(self, row: tuple[RawFile, Digests], result: Result) -> tuple[RawFile, Entry] | None:
        """What the lane proved; None where it does not say in which state the source was read."""
        raw_file, digests = row
        if result.digests is None or not (result.entry.etag or result.entry.inode):
            return None
        return self._as_before(raw_file, digests, result.digests, result.entry)

    def _as_before(self, raw_file: RawFile, digests: Digests, now: Digests, entry: Entry) -> tuple[RawFile, Entry]:
        """Return the raw file and its state.

        Raises:
            MustStop: If it has not the digests of the first proof.
        """  # noqa: DOC501 made by surprise
        if now.sha256 != digests.sha256:
            where = self._ends.source.describe(raw_file)
            raise surprise(f"{where} is another content than this run proved a moment ago.")
        return raw_file, entry

    def _refuse_same_place(self, raw_file: RawFile) -> None:
        """Put a mark at the source and look whether the target has it: two names for one place look like two.

        Raises:
            MustStop: If the target, or a place that Bytes reads, has it.
        """  # noqa: DOC501 made by _same_place
        mark, take_away = self._remover.mark(raw_file)
        try:
            found = self._ends.target.stat(mark)
            read_at = next((words for words, store in self._ends.read_by_bytes if store.stat(mark) is not None), None)
        finally:
            take_away()
        if read_at is not None:
            raise MustStop(
                "bytes-reads-the-source",
                f"Bytes' settings say {read_at}, which is the source under another name.",
                why=f"A mark was put at the source, {self._ends.source.describe(mark)}, and was there; it is removed.",
                cure="Switch Bytes to the other place first, look that it works, and give its new settings here (--env-file).",
            )
        if found is not None:
            raise _same_place(
                f"A mark was put at the source, {self._ends.source.describe(mark)}, and the target had it; it is removed."
            )

    def _remove(self, organization: str, proven: Sequence[tuple[RawFile, Entry]]) -> None:
        tally = self._pruned.organizations[organization]
        sizes = {raw_file: entry.size for raw_file, entry in proven}
        before = tally.deleted.files
        fault: StoreError | None = None
        with _surprising():
            for raw_file, error in self._remover.remove(proven):
                if error is None:
                    tally.deleted.add(sizes[raw_file])
                    if self._asks is not None:
                        self._gone.append(raw_file)
                else:
                    fault = fault or error
        self._told(tally.deleted.files - before)
        if fault is not None:
            raise surprise(fault.what) from fault


@contextmanager
def _surprising() -> Iterator[None]:
    """Let what a store says in the block end the run; being asked to stop is no surprise.

    Raises:
        Interrupted: If the run is asked to stop.
        MustStop: If a store fails.
    """  # noqa: DOC501 made by surprise
    try:
        yield
    except Interrupted:
        raise
    except StoreError as error:
        raise surprise(error.what) from error


def _same_place(why: str) -> MustStop:
    return MustStop(
        "same-place",
        "Source and target are one place under two names.",
        why=why,
        cure="Check --from and --to, the endpoints and the mounts. Nothing was deleted in that place.",
    )


def surprise(what: str) -> MustStop:
    """Return the error that ends the deletion, since something is not as it was proven."""
    return MustStop(
        "prune-surprise",
        what,
        why="Something changed between the proof of everything and the deletion, or deleting failed. What cannot be foreseen ends it here.",
        cure="Look at it. Then run the same command again, without --confirm first: what is deleted is in the manifest.",
    )


def changed(where: str) -> SourceChanged:
    """For removers: the source is not what was read."""
    return SourceChanged("source-changed", f"{where} is not any more what was read; it is kept.")
