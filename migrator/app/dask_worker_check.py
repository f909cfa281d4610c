"""Whether a Dask worker elsewhere sees both ends as this machine does: what it has to see, and its look at them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from migrator.app.store_factory import End, reading
from migrator.app.worker_config import WorkerConfig
from migrator.config.locations import DiskLocation, S3Location
from migrator.core.cancellation import Flag, StopFlag
from migrator.core.entities import Entry, RawFile, Shard
from migrator.core.errors import CannotStart
from migrator.core.notices import ignore_notice
from migrator.core.protocols import Source
from migrator.stores.reserved_names import temporary_name
from migrator.sync.manifest_reader import Manifest
from migrator.transfer.retry import RetryPolicy

_WITNESSES = 3
_LOOKED_THROUGH = 30
_CHECK_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class MountCheck:
    """What a worker has to see to be at the right place: raw files of each end with their sizes, and files in folders that it writes to.

    `organization` has a valid name at the target: that can be asked whether it is empty.
    """

    at_source: tuple[tuple[RawFile, int], ...] = ()
    at_target: tuple[tuple[RawFile, int], ...] = ()
    organization: str = ""
    beacons: tuple[Path, ...] = ()


def check_by_recipe(recipe: WorkerConfig, signs: MountCheck) -> None:
    """Whether this worker sees both ends as the coordinator does. Raises MigratorError."""
    patience = RetryPolicy(seconds=_CHECK_PATIENCE, stopping=StopFlag())
    if isinstance(recipe.source, Manifest):
        _check_manifest(recipe.source)
    with reading(recipe.source, patience) as source:
        _check_files(source, signs.at_source, recipe.source)
    for beacon in signs.beacons:
        _check_folder(beacon)
    with reading(recipe.target, patience) as target:
        _check_files(target, signs.at_target, recipe.target)
        if isinstance(recipe.target, S3Location):
            target.is_empty(signs.organization)


def _check_files(store: Source, raw_files: Sequence[tuple[RawFile, int]], end: End) -> None:
    """Look for raw files of a sample: they do not change, and seldom all go at once, so one that is as it was will do.

    Raises:
        CannotStart: If none is.
    """
    seen = [_size_of(store.stat(raw_file)) == size for raw_file, size in raw_files]
    if seen and not any(seen):
        raw_file, size = raw_files[0]
        raise CannotStart(
            "raw-files-not-seen",
            f"It does not see the raw files of {end}: {raw_file.organization}/{raw_file.raw_id} of {size} bytes is not there.",
            cure="Mount the same data folder there, at the same path.",
        )


def _check_folder(beacon: Path) -> None:
    if not beacon.exists():
        raise CannotStart(
            "target-not-seen",
            f"It does not see the folder {beacon.parent} that is to be filled.",
            cure="Mount the same folder there, at the same path.",
        )
    if not os.access(beacon.parent, os.W_OK | os.X_OK):
        raise CannotStart(
            "target-not-writable",
            f"It may not write to the folder {beacon.parent}.",
            cure="Run the worker as Bytes' user.",
        )


def _check_manifest(manifest: Manifest) -> None:
    if not manifest.path.exists() or Manifest(manifest.path).digest != manifest.digest:
        raise CannotStart(
            "manifest-not-seen",
            f"It does not see the manifest {manifest.path} as it is here.",
            cure="Mount the same folder there, at the same path.",
        )


def mount_check(recipe: WorkerConfig, organizations: Sequence[str], stopping: Flag, stack: ExitStack) -> MountCheck:
    """Take the sample that a worker has to see, and put a file into each folder that is filled, until `stack` is closed.

    Raises:
        CannotStart: If such a folder cannot be written.
    """
    patience = RetryPolicy(seconds=recipe.options.patience, stopping=stopping)
    beacons = [stack.enter_context(_beacon(folder, recipe.run_id)) for folder in _filled_folders(recipe)]
    chosen = [one for one in organizations if one not in recipe.refused and one not in recipe.denied]
    checks_target = isinstance(recipe.target, DiskLocation) and not recipe.writes
    return MountCheck(
        at_source=_first_raw_files(recipe.source, organizations, patience),
        at_target=_first_raw_files(recipe.target, organizations, patience) if checks_target else (),
        organization=chosen[0] if chosen else "",
        beacons=tuple(beacons),
    )


def _first_raw_files(end: End, organizations: Sequence[str], patience: RetryPolicy) -> tuple[tuple[RawFile, int], ...]:
    """The first raw file of some organizations."""
    if isinstance(end, Manifest):
        return ()
    with reading(end, patience) as store:
        found = (
            (RawFile(organization, entry.raw_id), entry.size)
            for organization in organizations[:_LOOKED_THROUGH]
            for entry in islice(store.scan(Shard(organization), ignore_notice), 1)
        )
        return tuple(islice(found, _WITNESSES))


def _size_of(entry: Entry | None) -> int | None:
    return None if entry is None else entry.size


def _filled_folders(recipe: WorkerConfig) -> Iterator[Path]:
    """Folders that workers write to, and that so have to be one for all."""
    if recipe.writes and isinstance(recipe.target, DiskLocation):
        yield recipe.target.root
    if recipe.proving is not None and recipe.proving.proofs.sheets is not None:
        yield recipe.proving.proofs.sheets.shared


@contextmanager
def _beacon(folder: Path, run_id: str) -> Iterator[Path]:
    """Put a file into a folder that is filled, by which workers know it; named so that no scan takes it for a stray.

    Raises:
        CannotStart: If the folder cannot be written.
    """
    mark = run_id.rpartition("-")[2]
    digits = secrets.token_hex(16)
    raw_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    path = folder / temporary_name(raw_id, mark)
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise CannotStart(
            "target-folder",
            f"The folder {folder} cannot be written ({os.strerror(error.errno or 0)}).",
            cure="Run this as Bytes' user.",
        ) from error
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
