"""The worker processes of prune: forked after the first look and before anything is held, each with stores and lanes of its own."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

from migrator.app.dask_setup import processes_here
from migrator.app.first_check_result import Prepared
from migrator.app.options import MOST_JOBS, Options
from migrator.app.place_locks import is_one_folder
from migrator.app.prune_request import PruneWish
from migrator.app.prune_source_in_use import have_same_names
from migrator.app.store_factory import patience_of, reading
from migrator.checks.content_proof import BOTH_HASHES
from migrator.checks.prover import Level, Prover
from migrator.checks.prune.deletion import AGAIN
from migrator.checks.prune.deletion_manifest import ManifestOfRun
from migrator.checks.prune.ends import Ends, Remover
from migrator.checks.prune.messages import Event, Unit
from migrator.checks.prune.proof import ProofScope
from migrator.checks.prune.worker import PruneWorker, break_off
from migrator.config.locations import DiskLocation, Location, Locations, S3Location
from migrator.core.cancellation import Flag
from migrator.core.entities import INDEX_LENGTH, RawFile
from migrator.core.errors import MigratorError
from migrator.core.open_files import jobs_that_fit
from migrator.core.protocols import Source
from migrator.engines.forked import ForkedWorkers
from migrator.engines.single_thread import UnitQueue
from migrator.stores.disk.remover import DiskRemover
from migrator.stores.disk.source import DiskSource
from migrator.stores.lane_selection import proving_lane
from migrator.stores.s3.boto3_clients import make_ahead
from migrator.stores.s3.remover import S3Remover
from migrator.stores.s3.source import S3Source
from migrator.sync.worker import unexpected
from migrator.transfer.throttle import Throttle


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneConfig:
    """What a worker needs to open its own stores. `read_by_bytes`: where Bytes reads, if that may be the source under another name."""

    locations: Locations
    scope: ProofScope
    options: Options
    run_id: str
    jobs: int
    manifest: ManifestOfRun | None
    samples: bool
    read_by_bytes: tuple[Location, ...] = ()


def prune_workers(
    prepared: Prepared,
    options: Options,
    wish: PruneWish,
    *,
    run_id: str,
    manifest: ManifestOfRun | None,
    throttle: Throttle,
    halt: Flag,
) -> ForkedWorkers[Unit, Event]:
    """Return as many workers as a verification has; entering them forks. With no `manifest`, nothing will be deleted."""
    locations = prepared.locations
    read = wish.place.locations if manifest is not None else ()
    workers = processes_here(options.jobs or MOST_JOBS)
    config = PruneConfig(
        locations=locations,
        scope=ProofScope(ages=options.ages, refused=prepared.refused, denied=prepared.denied),
        options=options,
        run_id=run_id,
        jobs=-(-(options.jobs or MOST_JOBS) // workers),
        manifest=manifest,
        samples=wish.api is not None,
        read_by_bytes=tuple(
            location
            for location in read
            if location.identity != locations.target.identity  # the target is looked at anyway
            and have_same_names(locations.source, location, prepared.overview.organizations)
        ),
    )
    make_ahead(end.access for end in (locations.source, locations.target) if isinstance(end, S3Location))
    gc.freeze()  # what is here by now stays, and workers need not look through it
    return ForkedWorkers(partial(_work, config, throttle, halt), workers=workers)


def _work(
    config: PruneConfig,
    throttle: Throttle,
    halt: Flag,
    units: UnitQueue[Unit],
    send: Callable[[Event], None],
    number: int,
) -> None:
    """A worker's whole life."""
    first = units.take(wait=True)
    if first is None:
        return
    try:
        with ExitStack() as stack:
            ends = stack.enter_context(_ends(config, throttle, halt))
            worker = PruneWorker(
                ends,
                config.scope,
                remover=lambda: _remover(stack, config.locations.source, ends.source, config.run_id),
                manifest=config.manifest,
                samples=config.samples,
                halt=halt,
                send=send,
            )
            worker.run(units, first)
    except Exception as error:
        break_off(error if isinstance(error, MigratorError) else unexpected(error), 1, units, halt, send)


@contextmanager
def _ends(config: PruneConfig, throttle: Throttle, halt: Flag) -> Iterator[Ends]:
    """Both ends as they are read, and where Bytes reads if that may be the source by another name of its server."""
    locations, patience = config.locations, patience_of(config.options, halt)
    both = isinstance(locations.source, DiskLocation) and isinstance(locations.target, DiskLocation)
    with ExitStack() as stack:
        source = stack.enter_context(reading(locations.source, patience, throttle))
        target = stack.enter_context(reading(locations.target, patience, throttle))
        most = jobs_that_fit(config.jobs)
        lanes = [
            proving_lane(Prover(source, target, Level.CONTENT, hashes=hashes), source, target, largest_window=most)
            for hashes in (BOTH_HASHES, AGAIN)
        ]
        for lane in lanes:
            if lane is not None:
                stack.callback(lane.close)
        yield Ends(
            source=source,
            target=target,
            near_source=source if isinstance(source, DiskSource) else None,
            near_target=target if isinstance(target, DiskSource) else None,
            lane=lanes[0],
            lane_again=lanes[1],
            settle=target.settle if isinstance(target, DiskSource) else lambda: None,
            folder_of=_index_folder if both else lambda raw_file: raw_file.organization,
            is_one_folder=partial(is_one_folder, locations),
            read_by_bytes=tuple(
                (str(location), stack.enter_context(reading(location, patience))) for location in config.read_by_bytes
            ),
        )


def _index_folder(raw_file: RawFile) -> str:
    return f"{raw_file.organization}/{raw_file.raw_id[:INDEX_LENGTH]}"


def _remover(stack: ExitStack, location: Location, source: Source, run_id: str) -> Remover:
    """Return the source, opened for deleting until the stack ends."""
    remover: DiskRemover | S3Remover
    if isinstance(location, DiskLocation):
        remover = DiskRemover(location.root, run=run_id.rpartition("-")[2])
    else:
        remover = S3Remover(cast("S3Source", source))
    stack.callback(remover.close)
    return remover
