"""Spreads a run over threads, processes or a Dask cluster: what its workers need to know, and how they open their own stores."""

from __future__ import annotations

import gc
import importlib.util
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

from migrator.ages import ANY_AGE, Ages
from migrator.app.opening import reading, writing
from migrator.app.options import MOST_JOBS, EngineName, Options, Prepared
from migrator.coordinator import Engine
from migrator.engines.processes import Processes
from migrator.engines.threads import Threads
from migrator.errors import CannotStart, MigratorError, SettingsError
from migrator.limits import Limits
from migrator.line import Line
from migrator.model import Entry, Finding, FindingStatus, RawFile, Shard
from migrator.patience import AT_FIRST, Patience
from migrator.pipeline import Pass
from migrator.protocols import Sink, Source
from migrator.rehearse import Rehearse
from migrator.rules import BY_CONTENT, BY_SIZE, Rules
from migrator.settings import DiskLocation, Location, S3Location
from migrator.stopping import Flag, StopFlag
from migrator.stores.lanes import bulk_lane_between
from migrator.stores.s3.abilities import Abilities
from migrator.stores.strays import temporary_name
from migrator.throttle import Throttle
from migrator.transfer.careful import CarefulLane
from migrator.transfer.sink import Transfer
from migrator.units import Ended
from migrator.worker import Units, Worker

MOST_WORKERS = 4
MOST_CAREFUL_JOBS = 8
"""boto3 gets slower with more threads: 887 files a second with one, 462 with 64."""
_WITNESSES = 3
_LOOK_PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a worker needs to open its own stores and lanes. Can be pickled only without keys: see `travelling`."""

    source: Location
    target: Location
    refused: frozenset[str]
    run_id: str
    abilities: Abilities = field(default_factory=Abilities)
    jobs: int = MOST_JOBS
    create_buckets: bool = True
    buckets_there: frozenset[str] = frozenset()
    compare_by_size: bool = False
    dry_run: bool = False
    settle: float = 30.0
    patience: float = 120.0
    ages: Ages = ANY_AGE
    limits: Limits = field(default_factory=Limits)
    lists_extra: bool = False
    tells_copied: bool = False
    spread: bool = False

    @staticmethod
    def of(
        prepared: Prepared, options: Options, *, run_id: str, abilities: Abilities | None = None, dry_run: bool = False
    ) -> Recipe:
        return Recipe(
            source=prepared.locations.source,
            target=prepared.locations.target,
            refused=prepared.refused,
            run_id=run_id,
            abilities=abilities or Abilities(),
            jobs=options.jobs or MOST_JOBS,
            create_buckets=options.create_buckets,
            buckets_there=prepared.buckets_there,
            compare_by_size=options.compare_by_size or dry_run,
            dry_run=dry_run,
            settle=options.settle,
            patience=options.patience,
            ages=options.ages,
            limits=options.limits,
            lists_extra=options.lists_extra,
        )

    def travelling(self) -> Recipe:
        """Without keys: a worker elsewhere signs with those of its own environment."""
        return replace(self, source=_without_keys(self.source), target=_without_keys(self.target), spread=True)


class Spread(Engine, Protocol):
    """An engine, and what is to be told of its workers."""

    @property
    def findings(self) -> tuple[Finding, ...]: ...


@contextmanager
def engine_of(
    recipe: Recipe, options: Options, prepared: Prepared, throttle: Throttle, stopping: Flag
) -> Iterator[Spread]:
    """The engine that was asked for; `processes` if none was. Raises MigratorError where it cannot be had."""
    opened: AbstractContextManager[Spread]
    with ExitStack() as stack:
        if options.engine == EngineName.DASK:
            opened = _dask(recipe, options, prepared, stopping, stack)
        elif options.engine == EngineName.LOCAL:
            opened = Threads(partial(work_by_recipe, recipe, throttle, stopping), stopping=stopping)
        else:
            opened = _processes(recipe, throttle, stopping)
        yield stack.enter_context(opened)


def _processes(recipe: Recipe, throttle: Throttle, stopping: Flag) -> Processes:
    """As many processes as there are cores to use, with the requests under way shared out among them."""
    workers = _processes_here(recipe.jobs)
    gc.freeze()  # what is here by now stays, and workers need not look through it
    shared = replace(recipe, jobs=-(-recipe.jobs // workers))
    work = partial(work_by_recipe, shared, throttle, stopping, looked_before=True)
    return Processes(work, workers=workers, stopping=stopping)


def _processes_here(jobs: int) -> int:
    return max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS, jobs))


def work_by_recipe(
    recipe: Recipe, throttle: Throttle, stopping: Flag, units: Units, line: Line, *, looked_before: bool = False
) -> None:
    """The whole life of a worker. `looked_before`: both ends answered this very machine, so one that is silent now may come back."""
    at_first = recipe.patience if looked_before else AT_FIRST
    patience = Patience(seconds=recipe.patience, at_first=at_first, stopping=stopping)
    try:
        with ExitStack() as stack:
            source = stack.enter_context(reading(recipe.source, patience, throttle))
            target, sink, clear = _opened_ends(recipe, source, patience, throttle, line, stack)
            rules = BY_SIZE if recipe.compare_by_size else BY_CONTENT
            Worker(pass_of(recipe, source, target, sink, rules, stopping), units, line).run()
            if not stopping.is_set():
                clear()
    except MigratorError as error:
        stopping.set()
        while (unit := units.take(wait=True)) is not None:
            line.tell(Ended(error, unit.number))


def _opened_ends(
    recipe: Recipe, source: Source, patience: Patience, throttle: Throttle, line: Line, stack: ExitStack
) -> tuple[Source, Sink, Callable[[], None]]:
    """The target, what is done with it, and what is to be done after a whole pass. A dry run has nothing to write with."""
    if recipe.dry_run:
        return stack.enter_context(reading(recipe.target, patience, throttle)), Rehearse(source), lambda: None
    target = stack.enter_context(
        writing(
            recipe.target,
            patience,
            run_id=recipe.run_id,
            abilities=recipe.abilities,
            create_buckets=recipe.create_buckets,
            buckets_there=recipe.buckets_there,
            journal=line,
            throttle=throttle,
            source=recipe.source,
        )
    )
    careful = CarefulLane(source, target, jobs=min(recipe.jobs, MOST_CAREFUL_JOBS), patience=patience)
    sink = Transfer(target, careful, bulk_lane_between(source, target, largest_window=recipe.jobs))
    stack.callback(sink.close)
    return target, sink, partial(target.clear_leftovers, source)


def pass_of(recipe: Recipe, source: Source, target: Source, sink: Sink, rules: Rules, stopping: Flag) -> Pass:
    return Pass(
        source=source,
        target=target,
        sink=sink,
        rules=rules,
        refused=recipe.refused,
        settle_ns=int(recipe.settle * 1e9),
        stopping=stopping,
        remembers=not recipe.dry_run,
        ages=recipe.ages,
        lists_extra=recipe.lists_extra,
        tells_copied=recipe.tells_copied,
        spread=recipe.spread,
    )


# --- past one machine -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signs:
    """What a worker has to see to be at the right place: raw files of the source with their sizes, and a file in the target's folder."""

    raw_files: tuple[tuple[RawFile, int], ...]
    organization: str
    beacon: Path | None


def _dask(
    recipe: Recipe, options: Options, prepared: Prepared, stopping: Flag, stack: ExitStack
) -> AbstractContextManager[Spread]:
    if importlib.util.find_spec("distributed") is None or importlib.util.find_spec("cryptography") is None:
        raise SettingsError(
            "dask-missing",
            "--engine dask needs Dask, which is not installed.",
            cure="pip install 'bytes-migrator[dask]'",
        )
    refuse_two_identities(recipe)
    from migrator.engines.dask import Cluster, Dask  # noqa: PLC0415 half a second, and only for this engine

    travels = recipe.travelling()
    with reading(recipe.source, Patience(seconds=recipe.patience, stopping=stopping)) as source:
        signs = _signs(source, prepared, stack.enter_context(_beacon(recipe)))
    rates = recipe.limits.bandwidth is not None or recipe.limits.requests is not None
    return Dask(
        cluster=Cluster(
            scheduler=options.scheduler, workers=_processes_here(MOST_WORKERS), environment=_keys_as_environment(recipe)
        ),
        work=partial(make_work, travels),
        look=partial(look_by_recipe, travels, signs),
        run_id=recipe.run_id,
        patience=recipe.patience,
        stopping=stopping,
        is_limited=rates,
    )


def make_work(recipe: Recipe, workers: int) -> Callable[[Flag, Units, Line], None]:
    """What one of so many workers does elsewhere: with its share of the limits, and temporary names of its own."""
    own = replace(recipe, run_id=f"{recipe.run_id}-{secrets.token_hex(3)}", limits=recipe.limits.shared_by(workers))
    return partial(_work_elsewhere, own)


def _work_elsewhere(recipe: Recipe, stopping: Flag, units: Units, line: Line) -> None:
    work_by_recipe(recipe, Throttle(recipe.limits, stopping), stopping, units, line)


def look_by_recipe(recipe: Recipe, signs: Signs) -> None:
    """Whether this worker sees both ends as the coordinator does. Raises MigratorError."""
    patience = Patience(seconds=_LOOK_PATIENCE, stopping=StopFlag())
    with reading(recipe.source, patience) as source:
        seen = [_size_of(source.look(raw_file)) == size for raw_file, size in signs.raw_files]
    if seen and not any(seen):
        raise CannotStart(
            "source-not-seen",
            f"It does not see the raw files of {recipe.source}: {_words_of(signs)} is not there.",
            cure="Mount the same data folder there, at the same path.",
        )
    if isinstance(recipe.target, DiskLocation):
        if not recipe.dry_run:
            _look_at_folder(recipe.target.root, signs.beacon)
        return
    with reading(recipe.target, patience) as target:
        target.is_empty(signs.organization)


def _look_at_folder(root: Path, beacon: Path | None) -> None:
    if beacon is not None and not beacon.exists():
        raise CannotStart(
            "target-not-seen",
            f"It does not see the data folder {root} that is to be filled.",
            cure="Mount the same data folder there, at the same path.",
        )
    if not os.access(root, os.W_OK | os.X_OK):
        raise CannotStart(
            "target-not-writable",
            f"It may not write to the data folder {root}.",
            cure="Run the worker as the user that Bytes runs as.",
        )


def _signs(source: Source, prepared: Prepared, beacon: Path | None) -> Signs:
    """The first raw file of some organizations: raw files do not change, and seldom all go at once."""
    found: list[tuple[RawFile, int]] = []
    organizations = prepared.look.organizations
    for organization in islice(organizations, 10 * _WITNESSES):
        entry = next(source.scan(Shard(organization), lambda notice: None), None)
        if entry is not None and len(found) < _WITNESSES:
            found.append((RawFile(organization, entry.raw_id), entry.size))
    movable = [organization for organization in organizations if organization not in prepared.refused]
    return Signs(tuple(found), movable[0] if movable else "", beacon)


def _words_of(signs: Signs) -> str:
    raw_file, size = signs.raw_files[0]
    return f"{raw_file.organization}/{raw_file.raw_id} of {size} bytes"


def _size_of(entry: Entry | None) -> int | None:
    return None if entry is None else entry.size


@contextmanager
def _beacon(recipe: Recipe) -> Iterator[Path | None]:
    """A file in the data folder that is filled, by which workers know it; named so that no scan takes it for a stray."""
    if recipe.dry_run or not isinstance(recipe.target, DiskLocation):
        yield None
        return
    mark = recipe.run_id.rpartition("-")[2]
    digits = secrets.token_hex(16)
    raw_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    path = recipe.target.root / temporary_name(raw_id, mark)
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise CannotStart(
            "target-folder",
            f"The data folder {recipe.target.root} cannot be written ({os.strerror(error.errno or 0)}).",
            cure="Run this as the user that Bytes runs as.",
        ) from error
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _without_keys(location: Location) -> Location:
    if isinstance(location, DiskLocation):
        return location
    access = replace(location.access, access_key_id=None, secret_access_key=None, session_token=None)
    return replace(location, access=access)


def _keyed_ends(recipe: Recipe) -> list[S3Location]:
    return [end for end in (recipe.source, recipe.target) if isinstance(end, S3Location)]


def refuse_two_identities(recipe: Recipe) -> None:
    """A worker's environment holds one pair of keys. Raises SettingsError where the ends have different ones."""
    ends = _keyed_ends(recipe)
    pairs = {(end.access.access_key_id, end.access.secret_access_key, end.access.session_token) for end in ends}
    if len(pairs) > 1:
        raise SettingsError(
            "two-identities",
            "The two ends have different keys, and --engine dask does not let keys travel.",
            why="Each worker signs with the AWS_* settings of its own environment, which hold one pair.",
            cure="Put both pairs into profiles of the workers' AWS configuration files and name them by AWS_PROFILE in the env files, "
            "or use --engine processes.",
        )


def _keys_as_environment(recipe: Recipe) -> dict[str, str]:
    """Keys of env files for workers on this machine, which are its own processes: as an operator would export them."""
    for end in _keyed_ends(recipe):
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


def key_findings(recipe: Recipe, options: Options) -> tuple[Finding, ...]:
    """Keys that were given here and do not travel."""
    given = any(end.access.access_key_id is not None for end in _keyed_ends(recipe))
    if options.engine != EngineName.DASK or not options.scheduler or not given:
        return ()
    return (
        Finding(
            name="keys-stay-here",
            status=FindingStatus.WARNING,
            seen="The keys of the env file are used by this process alone.",
            why="Keys never travel: each Dask worker signs with the AWS_* settings of its own environment.",
        ),
    )
