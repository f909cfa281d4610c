"""What a worker of any engine needs to know, and how it opens its own stores and lanes by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

from migrator.app.first_check_result import Prepared
from migrator.app.options import MOST_JOBS, Options
from migrator.app.store_factory import End, reading, writing
from migrator.checks.content_proof import BOTH_HASHES
from migrator.checks.prover import AgainstManifest, Level, Prover, Proves
from migrator.checks.sample import VerifySample
from migrator.checks.verify_sink import Prove
from migrator.checks.verify_tracking import Proofs
from migrator.config.locations import DiskLocation, Location, S3Location
from migrator.core.cancellation import Flag
from migrator.core.errors import MigratorError
from migrator.core.notices import Denial
from migrator.core.open_files import jobs_that_fit
from migrator.core.protocols import Sink, Source
from migrator.stores.disk.source import DiskSource
from migrator.stores.lane_selection import bulk_lane_between, proving_lane
from migrator.stores.manifest import ManifestSource
from migrator.stores.s3.capabilities import Capabilities
from migrator.sync.action_tables import BY_CONTENT, BY_SIZE, Rules
from migrator.sync.channel import Line
from migrator.sync.dry_run import Rehearse
from migrator.sync.manifest_reader import Manifest
from migrator.sync.messages import Unit, UnitEnded
from migrator.sync.shard.folder_tracking import FolderTracker
from migrator.sync.shard.pass_settings import NoTracking, Pass
from migrator.sync.worker import Units, Worker, unexpected
from migrator.transfer.batch_sink import BatchSink
from migrator.transfer.file_copier import FileCopier
from migrator.transfer.large_file_progress import MeasuredSource, Meter
from migrator.transfer.retry import AT_FIRST, RetryPolicy
from migrator.transfer.throttle import Throttle

MOST_CAREFUL_JOBS = 8
"""boto3 gets slower with more threads: 887 files a second with one, 462 with 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyConfig:
    """That a pass is a verification: how much it takes, by which rules, of which raw files, and what is kept of it."""

    level: Level
    rules: Rules
    sample: VerifySample | None
    proofs: Proofs


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What a worker needs to open its own stores and lanes. Can be pickled only without keys: see `travelling`.

    `jobs` is this worker's share of what may be in flight.
    """

    source: End
    target: Location
    refused: frozenset[str]
    run_id: str
    options: Options = field(default_factory=Options)
    abilities: Capabilities = field(default_factory=Capabilities)
    jobs: int = MOST_JOBS
    buckets_there: tuple[str, ...] = ()
    dry_run: bool = False
    tells_copied: bool = False
    spread: bool = False
    proving: VerifyConfig | None = None
    owner: tuple[int, int] | None = None
    parted: bool = False
    denied: Mapping[str, Denial] = field(default_factory=dict)

    @staticmethod
    def of(
        prepared: Prepared,
        options: Options,
        *,
        run_id: str,
        abilities: Capabilities | None = None,
        dry_run: bool = False,
    ) -> WorkerConfig:
        """Return what workers need to open their own stores and lanes, from the options and the first look."""
        return WorkerConfig(
            source=prepared.locations.source,
            target=prepared.locations.target,
            refused=prepared.refused,
            run_id=run_id,
            abilities=abilities or Capabilities(),
            options=options,
            jobs=options.jobs or MOST_JOBS,
            buckets_there=prepared.buckets_there,
            dry_run=dry_run,
            owner=prepared.owner,
            parted=prepared.parted,
            denied=prepared.denied,
        )

    def travelling(self) -> WorkerConfig:
        """Without keys: a worker elsewhere signs with those of its own environment."""
        source = self.source if isinstance(self.source, Manifest) else _without_keys(self.source)
        return replace(self, source=source, target=_without_keys(self.target), spread=True)

    @property
    def s3_ends(self) -> list[S3Location]:
        """Return the ends that are on S3."""
        return [end for end in (self.source, self.target) if isinstance(end, S3Location)]

    @property
    def writes(self) -> bool:
        """Whether anything comes to be at the target."""
        return not self.dry_run and self.proving is None


def work_by_recipe(
    recipe: WorkerConfig,
    throttle: Throttle,
    stopping: Flag,
    units: Units[Unit],
    line: Line,
    *,
    ends_answered: bool = False,
) -> None:
    """The whole life of a worker. `ends_answered`: both ends answered this very machine, so one that is silent now may come back."""
    seconds = recipe.options.patience
    at_first = seconds if ends_answered else AT_FIRST
    patience = RetryPolicy(seconds=seconds, at_first=at_first, stopping=stopping, parted=recipe.parted)
    try:
        with ExitStack() as stack:
            source = stack.enter_context(reading(recipe.source, patience, throttle))
            target, sink, clear = _opened_ends(recipe, source, patience, throttle, line, stack)
            Worker(pass_of(recipe, source, target, sink, stopping), units, line).run()
            if not stopping.is_set():
                clear()
    except Exception as error:
        stopping.set()
        ending = error if isinstance(error, MigratorError) else unexpected(error)
        while (unit := units.take(wait=True)) is not None:
            line.send(UnitEnded(ending, unit.number))


def _opened_ends(
    recipe: WorkerConfig, source: Source, patience: RetryPolicy, throttle: Throttle, line: Line, stack: ExitStack
) -> tuple[Source, Sink, Callable[[], None]]:
    """The target, what is done with it, and what is to be done after a whole pass. What does not write has nothing to write with."""
    most = jobs_that_fit(recipe.jobs)
    if not recipe.writes:
        read = stack.enter_context(reading(recipe.target, patience, throttle))
        if recipe.proving is None:
            return read, Rehearse(source), _nothing
        meter = Meter()
        prover = _prover(recipe.proving, source, read, meter)
        rests_on_listing = recipe.proving.level is Level.ETAG and not isinstance(recipe.source, Manifest)
        listed_target = read if rests_on_listing and isinstance(recipe.target, S3Location) else None
        fast = proving_lane(prover, source, read, largest_window=most)
        jobs = min(most, MOST_CAREFUL_JOBS)
        prove = Prove(prover, jobs=jobs, patience=patience, listed_target=listed_target, fast=fast, meter=meter)
        stack.callback(prove.close)
        return read, prove, _nothing
    target = stack.enter_context(
        writing(
            recipe.target,
            patience,
            run_id=recipe.run_id,
            abilities=recipe.abilities,
            create_buckets=recipe.options.create_buckets,
            buckets_there=recipe.buckets_there,
            journal=line,
            throttle=throttle,
            source=recipe.source,
            owner=recipe.owner,
        )
    )
    careful = FileCopier(source, target, jobs=min(most, MOST_CAREFUL_JOBS), patience=patience)
    sink = BatchSink(target, careful, bulk_lane_between(source, target, largest_window=most))
    stack.callback(sink.close)
    return target, sink, partial(target.clear_leftovers, source)


def _nothing() -> None:
    """There is nothing to be done after a pass that wrote nothing."""


def _prover(proving: VerifyConfig, source: Source, target: Source, meter: Meter) -> Proves:
    """Return what proves single raw files; what it reads of large ones counts for the meter."""
    measured = MeasuredSource(target, meter)
    near_target = target if isinstance(target, DiskSource) else None
    if isinstance(source, ManifestSource):
        return AgainstManifest(source, measured, near=near_target)
    near_source = source if isinstance(source, DiskSource) else None
    return Prover(
        MeasuredSource(source, meter),
        measured,
        proving.level,
        near_source=near_source,
        near_target=near_target,
        hashes=BOTH_HASHES if proving.proofs.sheets is not None else (),
    )


def pass_of(recipe: WorkerConfig, source: Source, target: Source, sink: Sink, stopping: Flag) -> Pass:
    """Return the pass that a worker runs over its shards, with the rules of copying or of verifying."""
    options, proving = recipe.options, recipe.proving
    whole = Pass(
        source=source,
        target=target,
        sink=sink,
        rules=BY_SIZE if options.compare_by_size or recipe.dry_run else BY_CONTENT,
        refused=recipe.refused,
        settle_ns=int(options.settle * 1e9),
        stopping=stopping,
        tracking=FolderTracker if recipe.writes and options.remembers else NoTracking,
        ages=options.ages,
        lists_extra=options.lists_extra and proving is None,
        tells_copied=recipe.tells_copied,
        spread=recipe.spread,
        parted=recipe.parted,
        denied=recipe.denied,
        rehearse=sink.result if isinstance(sink, Rehearse) else None,
    )
    if proving is None:
        return whole
    return replace(
        whole,
        rules=proving.rules,
        refusal=proving.rules,
        takes=proving.sample.takes if proving.sample is not None else None,
        tracking=proving.proofs.track,
    )


def _without_keys(location: Location) -> Location:
    if isinstance(location, DiskLocation):
        return location
    access = replace(location.access, access_key_id=None, secret_access_key=None, session_token=None)
    return replace(location, access=access)
