"""A run over a Dask cluster: what travels to workers elsewhere, how they are known to be at the right place, and what stays here."""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

from migrator.app.options import EngineName
from migrator.app.store_factory import End, reading
from migrator.app.worker_config import WorkerConfig, work_by_recipe
from migrator.config.locations import DiskLocation, S3Location
from migrator.core.cancellation import Flag, StopFlag
from migrator.core.entities import Entry, RawFile, Shard
from migrator.core.errors import CannotStart, SettingsError
from migrator.core.findings import Finding
from migrator.core.outcomes import ignore_notice
from migrator.core.protocols import Source
from migrator.doctor.finding_shorthands import warned
from migrator.stores.unrecognized import temporary_name
from migrator.sync.channel import Line
from migrator.sync.coordinator import Engine
from migrator.sync.manifest import Manifest
from migrator.sync.messages import Unit
from migrator.sync.worker import Units
from migrator.transfer.retry import RetryPolicy
from migrator.transfer.throttle import Throttle

MOST_WORKERS = 4
_WITNESSES = 3
_LOOKED_THROUGH = 30
_CHECK_PATIENCE = 10.0


class Spread(Engine, Protocol):
    """An engine, and what is to be told of its workers."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return a warning for each worker that was left out."""
        ...


def processes_here(jobs: int) -> int:
    """How many workers this machine can feed."""
    return max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS, jobs))


@dataclass(frozen=True, slots=True)
class MountCheck:
    """What a worker has to see to be at the right place: raw files of each end with their sizes, and files in folders that it writes to.

    `organization` has a valid name at the target: that can be asked whether it is empty.
    """

    at_source: tuple[tuple[RawFile, int], ...] = ()
    at_target: tuple[tuple[RawFile, int], ...] = ()
    organization: str = ""
    beacons: tuple[Path, ...] = ()


def dask_engine(
    recipe: WorkerConfig, organizations: Sequence[str], stopping: Flag, stack: ExitStack
) -> AbstractContextManager[Spread]:
    """Return Dask as an engine, with what its workers have to know.

    Raises:
        SettingsError: If Dask is not installed, or keys of two identities would have to travel.
    """
    if importlib.util.find_spec("distributed") is None or importlib.util.find_spec("cryptography") is None:
        raise SettingsError(
            "dask-missing",
            "--engine dask needs Dask, which is not installed.",
            cure=f"Install it: {sys.executable} -m pip install 'bytes-migrator[dask]'",
        )
    refuse_two_identities(recipe)
    from migrator.engines.dask import Cluster, Dask  # noqa: PLC0415 half a second, and only for this engine

    workers, scheduler = processes_here(MOST_WORKERS), recipe.options.scheduler
    travels = recipe.travelling()
    if not scheduler:  # processes of this machine share out what is under way, as those of the other engine do
        travels = replace(travels, jobs=-(-recipe.jobs // workers))
    signs = _signs(recipe, organizations, stopping, stack)
    limits = recipe.options.limits
    return Dask(
        cluster=Cluster(scheduler=scheduler, workers=workers, environment=_keys_as_environment(recipe)),
        work=partial(make_work, travels),
        preflight=partial(preflight_by_recipe, travels, signs),
        run_id=recipe.run_id,
        patience=recipe.options.patience,
        stopping=stopping,
        is_limited=limits.bandwidth is not None or limits.requests is not None,
    )


def make_work(recipe: WorkerConfig, workers: int) -> Callable[[Flag, Units[Unit], Line], None]:
    """What one of so many workers does elsewhere: with its share of the limits, and temporary names of its own."""
    options = replace(recipe.options, limits=recipe.options.limits.shared_by(workers))
    own = replace(recipe, run_id=f"{recipe.run_id}-{secrets.token_hex(3)}", options=options)
    return partial(_work_elsewhere, own)


def _work_elsewhere(recipe: WorkerConfig, stopping: Flag, units: Units[Unit], line: Line) -> None:
    work_by_recipe(recipe, Throttle(recipe.options.limits, stopping), stopping, units, line)


def preflight_by_recipe(recipe: WorkerConfig, signs: MountCheck) -> None:
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


def _signs(recipe: WorkerConfig, organizations: Sequence[str], stopping: Flag, stack: ExitStack) -> MountCheck:
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


def refuse_two_identities(recipe: WorkerConfig) -> None:
    """Refuse ends with different keys: a worker's environment holds one pair.

    Raises:
        SettingsError: If they have.
    """
    ends = recipe.s3_ends
    pairs = {(end.access.access_key_id, end.access.secret_access_key, end.access.session_token) for end in ends}
    if len(pairs) > 1:
        raise SettingsError(
            "two-identities",
            "The two ends have different keys, and --engine dask does not let keys travel.",
            why="Each worker's environment holds one pair of AWS_* keys.",
            cure=(
                "Put both into the workers' profiles, named by AWS_PROFILE in the env files, or use --engine processes."
            ),
        )


def _keys_as_environment(recipe: WorkerConfig) -> dict[str, str]:
    """Keys of env files for workers on this machine, which are its own processes: as an operator would export them."""
    for end in recipe.s3_ends:
        access = end.access
        if access.access_key_id is not None and access.secret_access_key is not None:
            keys = {
                "AWS_ACCESS_KEY_ID": access.access_key_id,
                "AWS_SECRET_ACCESS_KEY": access.secret_access_key.reveal(),
            }
            if access.session_token is not None:
                keys["AWS_SESSION_TOKEN"] = access.session_token.reveal()
            return keys
    return {}


def key_findings(recipe: WorkerConfig) -> Iterator[Finding]:
    """Keys that were given here and do not travel."""
    options = recipe.options
    given = any(end.access.access_key_id is not None for end in recipe.s3_ends)
    if options.engine != EngineName.DASK or not options.scheduler or not given:
        return
    yield warned(
        "keys-stay-here",
        "The keys of the env file are used by this process alone.",
        "Each Dask worker signs with the AWS_* settings of its own environment.",
    )
