"""Holds the places that a run needs, at the places themselves: the ledger's lock is not seen by runs with another state folder."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from migrator.app.first_check_result import Prepared
from migrator.app.stopping import Stopping
from migrator.app.store_factory import as_refusal
from migrator.config.locations import DiskLocation, Locations
from migrator.core.entities import RawFile
from migrator.core.errors import AccessDenied, CannotStart, LedgerBusy, MustStop, StoreError
from migrator.core.findings import Finding
from migrator.core.naming import disk_path_of
from migrator.core.parallel_calls import run_concurrently
from migrator.core.protocols import Source
from migrator.doctor.finding_shorthands import warned
from migrator.stores.disk.data_folder_setup import make_root
from migrator.stores.disk.lock import FolderMark, Hold, folders_held, mark_in, remove_mark
from migrator.stores.lock_mark import BREAK_LOCK, LockMark, busy
from migrator.stores.s3.lock import BucketLock, FoundLock, marks_in, remove_marks
from migrator.stores.s3.source import S3Source
from migrator.transfer.retry import RetryPolicy

_PRUNE = "bytes-migrator prune with the same --from and --to, and"


@contextmanager
def held_to_copy(locations: Locations, owner: tuple[int, int] | None = None) -> Iterator[None]:
    """Make the target's data folder if it is missing; no other run may use it, and none may write to the source's or prune it.

    `owner` is the user and group id of a new data folder. Raises LedgerBusy, CannotStart.
    """
    source, target = locations.source, locations.target
    holds = []
    if isinstance(target, DiskLocation):
        make_root(target.root, target.folder_mode, owner)
        holds.append(Hold(root=target.root, alone=True))
    if isinstance(source, DiskLocation):
        holds.append(Hold(root=source.root, alone=False))
    with folders_held(holds):
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Both ends as stores, and what the first look found between them: where prune's marks are to be put, or looked for."""

    prepared: Prepared
    source: Source
    target: Source
    patience: RetryPolicy

    @property
    def locations(self) -> Locations:
        """Return both ends as settings."""
        return self.prepared.locations

    @property
    def organizations(self) -> tuple[str, ...]:
        """Return those that the run is about."""
        return self.prepared.overview.organizations

    def roots(self) -> list[Path]:
        """Return the data folders among the ends."""
        return roots_of(self.locations)

    def buckets(self, only: str | None = None) -> list[tuple[S3Source, str]]:
        """The buckets of both ends, of all organizations or of one; the source's first, each once at its end."""
        found = []
        for store in (self.source, self.target):
            if isinstance(store, S3Source):
                at_target = store is self.target
                names = [only] if only is not None else self.organizations
                held = [name for name in names if not at_target or self.prepared.is_movable(name)]
                found += [(store, bucket) for bucket in dict.fromkeys(map(store.bucket_of, held))]
        return found

    def marks(self) -> list[tuple[str, LockMark]]:
        """Where a run of prune has put its mark, and the mark. Raises StoreError.

        One bucket of several that may not be listed is passed over: neither is anything written there, nor relied on.
        """
        buckets = self.buckets()
        answers = run_concurrently(
            [partial(self._marks_in, store, bucket, may_refuse=len(buckets) > 1) for store, bucket in buckets]
        )
        found = [
            (f"s3://{bucket}", one.mark) for (_, bucket), marks in zip(buckets, answers, strict=True) for one in marks
        ]
        for root in self.roots():
            mark = _mark_in(root)
            if mark is not None:
                found.append((str(root), mark))
        return list(dict.fromkeys(found))

    def _marks_in(self, store: S3Source, bucket: str, *, may_refuse: bool) -> list[FoundLock]:
        try:
            return marks_in(store.client, bucket, self.patience.run)
        except AccessDenied:
            if not may_refuse:
                raise
            return []


def roots_of(locations: Locations) -> list[Path]:
    """Return the data folders among the ends, the source's first."""
    return [end.root for end in (locations.source, locations.target) if isinstance(end, DiskLocation)]


def is_one_folder(locations: Locations, raw_file: RawFile) -> bool:
    """Whether a raw file's index folder is the same one at both ends: a link or a mount leads from one to the other."""
    roots = roots_of(locations)
    if len(roots) < 2:
        return False
    folder = Path(disk_path_of(raw_file)).parent
    try:
        return os.path.samefile(roots[0] / folder, roots[1] / folder)
    except OSError:
        return False  # it is gone: reading the raw file says so


def refuse_held(ground: Ground) -> None:
    """Refuse to go on where a run of prune deletes at one of the ends, or relies on it.

    Raises:
        LedgerBusy: If there is a mark of one.
    """  # noqa: DOC501 made by _busy
    for where, mark in ground.marks():
        raise _busy(where, mark, _PRUNE)


def mark_findings(ground: Ground, command: str) -> tuple[Finding, ...]:
    """What a run that only looks reports: marks of runs that go on, or that were killed."""
    errors = [_busy(where, mark, command) for where, mark in ground.marks()]
    found = [warned(error.name, error.what, error.why, error.cure) for error in errors]
    return tuple(dict.fromkeys(found))


def break_lock(ground: Ground, run: str) -> None:
    """Remove the marks of a run that was killed.

    Raises:
        CannotStart: If there is none, or one cannot be removed.
    """  # noqa: DOC501 made by _unlockable
    removed = 0
    for store, bucket in ground.buckets():
        removed += remove_marks(store.client, bucket, run, ground.patience.run)
    try:
        removed += sum(remove_mark(root, run) for root in ground.roots())
    except OSError as error:
        raise _unlockable(error) from error
    if not removed:
        raise CannotStart(
            "mark-not-found",
            f"There is no mark of the run {run} at either end.",
            why="It was removed, or is of other locations or organizations.",
            cure=f"Leave {BREAK_LOCK} out. Nothing was deleted.",
        )


Check = Callable[[str], None]
"""Raises MustStop if the places of an organization are not held any more."""


@contextmanager
def held_to_prune(ground: Ground, run_id: str, command: str, stopping: Stopping) -> Iterator[Check]:
    """Hold both ends until the block ends: data folders by their lock, buckets by a mark, in an order that is the same for every run.

    Raises LedgerBusy with the mark of the run that holds one, CannotStart where none can be put.
    """
    mark = LockMark(run=run_id, host=socket.gethostname(), pid=os.getpid(), began_at=time.time())
    with ExitStack() as stack:
        holds = [Hold(root=root, alone=True, must=True) for root in ground.roots()]
        stack.enter_context(folders_held(holds))
        places: dict[str, FolderMark | BucketLock] = {}
        for root in ground.roots():
            folder = FolderMark(root, mark)
            if folder.is_needed:
                places[folder.where] = folder
            else:
                _refuse_mark_in(root, command)
        for store, bucket in sorted(ground.buckets(), key=lambda one: one[1]):
            lock = _lock_of(store, bucket, mark, ground.patience, stopping)
            if lock is not None:
                places[f"{store.location.identity} {bucket}"] = lock
        for place in places.values():
            with as_refusal():
                _take(place, command)
            stack.callback(place.release)
        yield partial(_check, ground, places)


def _lock_of(
    store: S3Source, bucket: str, mark: LockMark, patience: RetryPolicy, stopping: Stopping
) -> BucketLock | None:
    """None for a bucket that does not exist: nothing lies there that could go, or be a proof."""
    if not store.bucket_exists(bucket):
        return None
    return BucketLock(store.client, bucket, mark, retry=patience.run, pause=stopping.event.wait)


def _take(place: FolderMark | BucketLock, command: str) -> None:
    try:
        other = place.take()
    except OSError as error:
        raise _unlockable(error) from error
    if other is not None:
        raise _busy(place.where, other, command)


def _check(ground: Ground, places: dict[str, FolderMark | BucketLock], organization: str) -> None:
    names = {f"{store.location.identity} {bucket}" for store, bucket in ground.buckets(organization)}
    for name, place in places.items():
        if (isinstance(place, FolderMark) or name in names) and not _is_held(place):
            raise MustStop(
                "mark-lost",
                f"The mark of this run at {place.where} is gone.",
                why=f"Somebody removed it, by {BREAK_LOCK} or by hand; another prune may be deleting the other copy.",
                cure="Rerun when no other run is in progress.",
            )


def _is_held(place: FolderMark | BucketLock) -> bool:
    try:
        return place.is_held()
    except OSError as error:
        raise StoreError("mark-unreadable", f"The mark at {place.where} cannot be read ({error.strerror}).") from error


def _refuse_mark_in(root: Path, command: str) -> None:
    mark = _mark_in(root)
    if mark is not None:
        raise _busy(str(root), mark, command)


def _mark_in(root: Path) -> LockMark | None:
    try:
        return mark_in(root)
    except OSError:
        return None  # a folder that cannot be read: whoever reads raw files there says so


def _busy(where: str, mark: LockMark, command: str) -> LedgerBusy:
    here = mark.host == socket.gethostname()
    return busy(where, mark, now=time.time(), command=command, is_gone=here and not _is_alive(mark.pid))


def _is_alive(pid: int) -> bool:
    return pid > 0 and os.path.exists(f"/proc/{pid}")


def _unlockable(error: OSError) -> CannotStart:
    return CannotStart(
        "folder-not-lockable",
        f"No mark can be kept in {error.filename or 'the data folder'} ({error.strerror}).",
        why="A second prune, on another machine, could delete the other copy.",
        cure="Run prune as a user who may write there. Nothing was deleted.",
    )
