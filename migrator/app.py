"""The composition root: names the concrete stores, engine and sinks, and puts a command together from them."""

from __future__ import annotations

import gc
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from migrator.ahead import CountAhead
from migrator.coordinator import Coordinator, Engine, Memory, Observer, Totals
from migrator.engines.processes import Processes
from migrator.engines.threads import Threads
from migrator.errors import CannotStart, MigratorError, MustStop, SettingsError, StoreError
from migrator.firstlook import SourceLook, look_at_bucket_names, look_at_source, refuse_errors
from migrator.ledger import Ledger
from migrator.line import Line
from migrator.model import (
    Count,
    Finding,
    FindingStatus,
    FinishedFolder,
    Outcome,
    Provisional,
    RawId,
    Tally,
    UnfinishedUpload,
)
from migrator.patience import Patience
from migrator.pipeline import Pass
from migrator.protocols import Journal, Sink, Source, Target
from migrator.rehearse import Rehearse
from migrator.reports.report import Report, Row
from migrator.reports.uploads import SeenUpload
from migrator.rules import BY_CONTENT, BY_SIZE, Rules
from migrator.settings import DiskLocation, Location, Locations, S3Location, endpoint_identity, settings_lines
from migrator.statefolder import StateFolder, lock
from migrator.stopping import Flag, StopFlag
from migrator.stores.disk import DiskSource
from migrator.stores.disk_target import DiskTarget, held
from migrator.stores.lanes import bulk_lane_between
from migrator.stores.s3.abilities import Abilities
from migrator.stores.s3.store import S3Source, S3Target
from migrator.stores.s3.wire import is_available
from migrator.transfer.careful import CarefulLane
from migrator.transfer.sink import Transfer
from migrator.units import Ended, Told, UploadBegan, UploadEnded
from migrator.worker import Units, Worker

MOST_JOBS = 256
"""Requests under way at once if nobody says otherwise: an upper bound, below which the lanes find their own number."""
MOST_WORKERS = 4
MOST_CAREFUL_JOBS = 8
"""boto3 gets slower with more threads: 887 files a second with one, 462 with 64."""
_SAVE_EVERY_SECONDS = 2.0
_COUNTING_AFTER_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command was asked to do, besides the locations. Times in seconds; `jobs` 0 lets the lanes find their own number."""

    organizations: tuple[str, ...] = ()
    jobs: int = 0
    create_buckets: bool = True
    allow_empty: bool = False
    compare_by_size: bool = False
    forced: frozenset[str] = frozenset()
    settle: float = 30.0
    patience: float = 120.0
    state: StateFolder = field(default_factory=StateFolder.default)


@dataclass(slots=True, kw_only=True)
class Stopping:
    """Set from a signal handler: which signal asked the run to end."""

    event: StopFlag = field(default_factory=StopFlag)
    signal: str = ""

    def ask(self, signal: str) -> None:
        self.signal = signal
        self.event.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The first look's result: what would be moved, and what was found."""

    locations: Locations
    look: SourceLook
    findings: tuple[Finding, ...]
    refused: frozenset[str]
    buckets_to_create: tuple[str, ...]


Watch = Callable[[CountAhead | None], Sequence[Observer]]
"""Makes the observers of a run, given who counts ahead (nobody in a dry run)."""


def plan(locations: Locations, options: Options, watch: Watch, stopping: Stopping) -> Report:
    """What `migrate` would do. Writes nothing: not to disk, not to S3. Raises MigratorError."""
    started = time.monotonic()
    patience = _patience(options, stopping.event)
    with _reading(locations.source, patience) as source, _reading(locations.target, patience) as target:
        prepared = first_look(locations, options, source, target)
        totals = _first_totals(prepared)
        whole = _pass(source, target, Rehearse(source), BY_SIZE, prepared.refused, options, stopping.event)
        whole = replace(whole, remembers=False)
        with (
            _only_reading(locations, options) as memory,
            Threads(partial(_work_through, whole), stopping=stopping.event) as engine,
        ):
            _coordinate(engine, prepared, memory, watch(None), totals, stopping)
    return _report("plan", "", prepared, totals, time.monotonic() - started, stopping, dry_run=True)


def prepare_to_migrate(locations: Locations, options: Options, stopping: Stopping) -> Prepared:
    """All that can be known before anything is written, for showing and asking. Raises MigratorError for what forbids to start."""
    patience = _patience(options, stopping.event)
    with _reading(locations.source, patience) as source, _reading(locations.target, patience) as target:
        prepared = first_look(locations, options, source, target)
    refuse_errors(prepared.findings, options.forced)
    if prepared.buckets_to_create and not options.create_buckets:
        raise CannotStart(
            "bucket-missing",
            f"These buckets do not exist: {', '.join(prepared.buckets_to_create[:10])}.",
            cure="Make them first, or leave out --no-create-buckets.",
        )
    return prepared


def migrate(prepared: Prepared, options: Options, watch: Watch, stopping: Stopping) -> Report:
    """Copy what is missing. Raises MigratorError; whatever began has left a ledger to go on from."""
    started = time.monotonic()
    locations, run_id = prepared.locations, new_run_id()
    totals = _first_totals(prepared)
    with ExitStack() as stack:
        ledger = stack.enter_context(_held_ledger(locations, options))
        if isinstance(locations.target, DiskLocation):
            stack.enter_context(held(locations.target.root, locations.target.folder_mode))
        record = _Record(ledger, run_id, totals)
        stack.enter_context(record.running("migrate", locations, options))
        ledger.record_problems(run_id, prepared.look.problems)
        abilities = _abilities(prepared, options, ledger, run_id, stopping.event)
        findings = (*prepared.findings, *ledger.findings, *_ability_findings(abilities), *_lane_findings(locations))
        engine = stack.enter_context(
            _engine(_Recipe(prepared=prepared, options=options, run_id=run_id, abilities=abilities), stopping.event)
        )
        source = stack.enter_context(_reading(locations.source, _patience(options, stopping.event)))
        ahead = stack.enter_context(CountAhead(source, prepared.look.organizations))
        _coordinate(engine, prepared, record, watch(ahead), totals, stopping)
        if stopping.event.is_set():
            ahead.finish(_COUNTING_AFTER_STOP_SECONDS)
            _count_pending(totals, ahead)
        seconds = time.monotonic() - started
        report = _report(
            "migrate",
            run_id,
            prepared,
            totals,
            seconds,
            stopping,
            findings=findings,
            final=ahead.is_final,
            by_size=options.compare_by_size,
        )
        record.end(report.exit_status)
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """What a worker needs to open its own stores and lanes."""

    prepared: Prepared
    options: Options
    run_id: str
    abilities: Abilities


def _engine(recipe: _Recipe, stopping: Flag) -> Processes:
    """As many processes as there are cores to use, with the requests under way shared out among them."""
    jobs = recipe.options.jobs or MOST_JOBS
    workers = max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS, jobs))
    gc.freeze()  # what is here by now stays, and workers need not look through it
    shared = replace(recipe, options=replace(recipe.options, jobs=-(-jobs // workers)))
    return Processes(partial(_work_by_recipe, shared, stopping), workers=workers, stopping=stopping)


def _work_by_recipe(recipe: _Recipe, stopping: Flag, units: Units, line: Line) -> None:
    """The whole life of a worker process."""
    prepared, options = recipe.prepared, recipe.options
    patience = _patience(options, stopping)
    try:
        with ExitStack() as stack:
            source = stack.enter_context(_reading(prepared.locations.source, patience))
            target = stack.enter_context(_writing(recipe, patience, line))
            careful = CarefulLane(source, target, jobs=min(options.jobs, MOST_CAREFUL_JOBS), patience=patience)
            sink = Transfer(target, careful, bulk_lane_between(source, target, largest_window=options.jobs))
            stack.callback(sink.close)
            rules = BY_SIZE if options.compare_by_size else BY_CONTENT
            _work_through(_pass(source, target, sink, rules, prepared.refused, options, stopping), units, line)
    except MigratorError as error:
        stopping.set()
        while units.take(wait=True) is not None:
            line.tell(Ended(error))


def _work_through(whole: Pass, units: Units, line: Line) -> None:
    Worker(whole, units, line).run()


def unfinished_uploads(locations: Locations, state: StateFolder, stopping: Stopping) -> tuple[SeenUpload, ...]:
    """The multipart uploads that this tool began at the target and that have not become objects. Writes nothing."""
    source, target = locations.source.identity, locations.target.identity
    path = state.ledger_path(source, target)
    ledger = Ledger.open_to_read(path, source_identity=source, target_identity=target)
    if ledger is None:
        return ()
    with ledger:
        uploads = ledger.all_uploads()
    with _s3_target(locations, stopping) as store:
        return tuple(_seen(store, upload) for upload in uploads)


def abort_uploads(locations: Locations, state: StateFolder, stopping: Stopping) -> tuple[SeenUpload, ...]:
    """Abort those uploads, and forget them. Raises LedgerBusy while a run is under way."""
    source, target = locations.source.identity, locations.target.identity
    path = state.ledger_path(source, target)
    if not path.exists():
        return ()
    aborted = []
    with ExitStack() as stack:
        stack.enter_context(lock(path))
        ledger = stack.enter_context(Ledger.open(path, source_identity=source, target_identity=target, now=time.time()))
        store = stack.enter_context(_s3_target(locations, stopping))
        for upload in ledger.all_uploads():
            aborted.append(_seen(store, upload))
            store.give_up(upload)
            ledger.forget_upload(upload)
    return tuple(aborted)


@contextmanager
def _s3_target(locations: Locations, stopping: Stopping) -> Iterator[S3Target]:
    """The target as a store; only S3 knows multipart uploads."""
    if not isinstance(locations.target, S3Location):
        raise SettingsError(
            "uploads-only-on-s3", f"{locations.target} has no multipart uploads.", cure="Name the S3 end with --to."
        )
    patience = Patience(stopping=stopping.event)
    store = S3Target(locations.target, patience, abilities=Abilities(), create_buckets=False)
    try:
        with _as_refusal():
            yield store
    finally:
        store.close()


def _seen(store: S3Target, upload: UnfinishedUpload) -> SeenUpload:
    sent = store.sent_of(upload)
    return SeenUpload(upload, None, 0) if sent is None else SeenUpload(upload, *sent)


def first_look(locations: Locations, options: Options, source: Source, target: Source) -> Prepared:
    """Look at both ends without writing. Raises CannotStart or SettingsError for what makes even a plan pointless."""
    with _as_refusal():
        look = look_at_source(source, str(locations.source), options.organizations, allow_empty=options.allow_empty)
        findings: tuple[Finding, ...] = locations.findings
        refused: frozenset[str] = frozenset()
        to_create: tuple[str, ...] = ()
        if isinstance(target, S3Source):
            names = [(organization, target.bucket_of(organization)) for organization in look.organizations]
            finding, refused = look_at_bucket_names(names)
            findings += (finding,)
            wanted = dict.fromkeys(bucket for organization, bucket in names if organization not in refused)
            to_create = tuple(bucket for bucket in wanted if not target.bucket_exists(bucket))
    return Prepared(locations=locations, look=look, findings=findings, refused=refused, buckets_to_create=to_create)


def new_run_id() -> str:
    """Sorts by time, and is short enough to be read out."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"


def _patience(options: Options, stopping: Flag) -> Patience:
    return Patience(seconds=options.patience, stopping=stopping)


@contextmanager
def _as_refusal() -> Iterator[None]:
    """A store's error before anything began: nothing could start."""
    try:
        yield
    except (MustStop, StoreError) as error:
        raise CannotStart(error.name, error.what, why=error.why, cure=error.cure) from error


@contextmanager
def _reading(location: Location, patience: Patience) -> Iterator[Source]:
    store: DiskSource | S3Source
    if isinstance(location, DiskLocation):
        store = DiskSource(location.root)
    else:
        store = S3Source(location, patience)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _writing(recipe: _Recipe, patience: Patience, journal: Journal | None = None) -> Iterator[Target]:
    location, options = recipe.prepared.locations.target, recipe.options
    store: DiskTarget | S3Target
    if isinstance(location, DiskLocation):
        mark = recipe.run_id.rpartition("-")[2]
        store = DiskTarget(location.root, folder_mode=location.folder_mode, file_mode=location.file_mode, run=mark)
    else:
        store = S3Target(
            location,
            patience,
            abilities=recipe.abilities,
            create_buckets=options.create_buckets,
            journal=journal,
        )
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _held_ledger(locations: Locations, options: Options) -> Iterator[Ledger]:
    options.state.ensure()
    source, target = locations.source.identity, locations.target.identity
    path = options.state.ledger_path(source, target)
    with lock(path), Ledger.open(path, source_identity=source, target_identity=target, now=time.time()) as ledger:
        yield ledger


class _NoMemory:
    """Nothing is known, and nothing is kept."""

    def finished(self, organization: str, prefix: str) -> Mapping[str, FinishedFolder]:
        return {}

    def forget_finished(self, organization: str) -> None:
        """Nothing was known."""

    def provisional(self, organization: str, prefix: str) -> Mapping[RawId, Provisional]:
        return {}

    def uploads(self, organization: str, prefix: str) -> tuple[UnfinishedUpload, ...]:
        return ()

    def record_upload(self, event: UploadBegan | UploadEnded) -> None:
        """A dry run begins no upload."""

    def record(self, told: Told) -> None:
        """A dry run writes nothing."""


class _OnlyReading(_NoMemory):
    """A dry run compares everything anew; only which copies are provisional has to come from the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def provisional(self, organization: str, prefix: str) -> Mapping[RawId, Provisional]:
        return self._ledger.provisional(organization, prefix)


@contextmanager
def _only_reading(locations: Locations, options: Options) -> Iterator[_NoMemory]:
    source, target = locations.source.identity, locations.target.identity
    path = options.state.ledger_path(source, target)
    ledger = Ledger.open_to_read(path, source_identity=source, target_identity=target)
    if ledger is None:
        yield _NoMemory()
        return
    with ledger:
        yield _OnlyReading(ledger)


class _Record:
    """A run's memory: the ledger, written by this thread alone, one transaction for each event."""

    def __init__(self, ledger: Ledger, run_id: str, totals: Totals) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._totals = totals
        self._saved_at = time.monotonic()

    @contextmanager
    def running(self, command: str, locations: Locations, options: Options) -> Iterator[None]:
        """Between these, `status` shows the run; an error that ends it is written down too."""
        self._ledger.begin_run(
            self._run_id,
            command,
            str(locations.source),
            str(locations.target),
            settings_fingerprint=_fingerprint(locations, options),
            started_at=time.time(),
        )
        try:
            yield
        except MigratorError as error:
            self.end(error.exit_status)
            raise

    def finished(self, organization: str, prefix: str) -> Mapping[str, FinishedFolder]:
        return self._ledger.finished(organization, prefix)

    def forget_finished(self, organization: str) -> None:
        self._ledger.forget_finished(organization)

    def provisional(self, organization: str, prefix: str) -> Mapping[RawId, Provisional]:
        return self._ledger.provisional(organization, prefix)

    def uploads(self, organization: str, prefix: str) -> tuple[UnfinishedUpload, ...]:
        return self._ledger.uploads(organization, prefix)

    def record_upload(self, event: UploadBegan | UploadEnded) -> None:
        if isinstance(event, UploadBegan):
            self._ledger.record_upload(event.upload)
        else:
            self._ledger.forget_upload(event.upload)

    def record(self, told: Told) -> None:
        with self._ledger.transaction():
            self._ledger.record_problems(self._run_id, told.problems)
            self._ledger.record_finished(told.finished)
            self._ledger.record_provisional(told.provisional)
            self._ledger.settle_provisional(told.settled)
        now = time.monotonic()
        if now - self._saved_at >= _SAVE_EVERY_SECONDS:
            self._saved_at = now
            self._ledger.save_progress(self._run_id, self._progress(), time.time())

    def end(self, exit_status: int) -> None:
        self._ledger.end_run(self._run_id, exit_status=exit_status, ended_at=time.time(), totals=self._progress())

    def _progress(self) -> dict[str, dict[str, dict[str, int]]]:
        return {organization: tally.as_dict() for organization, tally in self._totals.organizations.items()}


def _fingerprint(locations: Locations, options: Options) -> str:
    """Tells runs with other settings apart; holds no secret."""
    told = (
        locations.source.identity,
        locations.target.identity,
        sorted(options.organizations),
        options.compare_by_size,
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _abilities(prepared: Prepared, options: Options, ledger: Ledger, run_id: str, stopping: Flag) -> Abilities:
    """What the server can do, from the ledger or by a probe in the first bucket, which is made for it."""
    location = prepared.locations.target
    movable = [name for name in prepared.look.organizations if name not in prepared.refused]
    if not isinstance(location, S3Location) or not movable:
        return Abilities()
    place = f"{endpoint_identity(location.access.endpoint_url)} {location.naming.bucket_of(movable[0])}"
    known = Abilities.from_dict(ledger.abilities(place, time.time()) or {})
    if known is not None:
        return known
    recipe = _Recipe(prepared=prepared, options=options, run_id=run_id, abilities=Abilities())
    with _as_refusal(), _writing(recipe, _patience(options, stopping)) as target:
        target.prepare(movable[0])
        known = target.probe(movable[0], run_id) if isinstance(target, S3Target) else Abilities()
    ledger.save_abilities(place, known.as_dict(), time.time())
    return known


def _ability_findings(abilities: Abilities) -> tuple[Finding, ...]:
    words = abilities.in_words() if abilities != Abilities() else ""
    if not words:
        return ()
    return (
        Finding(
            name="server-abilities",
            status=FindingStatus.WARNING,
            seen=f"This server lacks some protections that S3 has: {words}.",
            why="Nothing is lost by it; it costs requests and time.",
        ),
    )


def _lane_findings(locations: Locations) -> tuple[Finding, ...]:
    has_s3 = any(isinstance(location, S3Location) for location in (locations.source, locations.target))
    if is_available() or not has_s3:
        return ()
    return (
        Finding(
            name="libcurl-missing",
            status=FindingStatus.WARNING,
            seen="pycurl, Python's libcurl, cannot be imported: every raw file goes by the careful lane, which is slower.",
            why="Small files cost ten times the CPU without it; nothing else is different.",
            cure="Install it: pip install pycurl",
        ),
    )


def _pass(
    source: Source,
    target: Source,
    sink: Sink,
    rules: Rules,
    refused: frozenset[str],
    options: Options,
    stopping: Flag,
) -> Pass:
    return Pass(
        source=source,
        target=target,
        sink=sink,
        rules=rules,
        refused=refused,
        settle_ns=int(options.settle * 1e9),
        stopping=stopping,
    )


def _coordinate(
    engine: Engine,
    prepared: Prepared,
    memory: Memory,
    observers: Sequence[Observer],
    totals: Totals,
    stopping: Stopping,
) -> None:
    coordinator = Coordinator(engine=engine, memory=memory, observers=observers, totals=totals, stopping=stopping.event)
    coordinator.run(prepared.look.organizations)


def _first_totals(prepared: Prepared) -> Totals:
    """Starts with every organization, so that those without raw files have their row too, and with what lies beside them."""
    totals = Totals(organizations={organization: Tally() for organization in prepared.look.organizations})
    totals.add_problems(prepared.look.problems)
    strays = [problem for problem in prepared.look.problems if problem.kind == "stray"]
    if strays:
        totals.beside.merge(Count(len(strays), prepared.look.stray_bytes))
    return totals


def _count_pending(totals: Totals, ahead: CountAhead) -> None:
    """What the run did not come to: what was counted, less what was told."""
    for organization, counted in ahead.by_organization.items():
        tally = totals.organizations.setdefault(organization, Tally())
        told = tally.discovered
        if counted.files > told.files:
            tally[Outcome.PENDING].merge(Count(counted.files - told.files, max(0, counted.bytes - told.bytes)))


def _report(
    command: str,
    run_id: str,
    prepared: Prepared,
    totals: Totals,
    seconds: float,
    stopping: Stopping,
    *,
    dry_run: bool = False,
    by_size: bool = False,
    findings: tuple[Finding, ...] | None = None,
    final: bool = True,
) -> Report:
    locations = prepared.locations
    buckets = _buckets(locations)
    rows = tuple(
        Row(organization=organization, bucket=buckets(organization), tally=tally)
        for organization, tally in sorted(totals.organizations.items())
    )
    return Report(
        command=command,
        run=run_id,
        source=str(locations.source),
        target=str(locations.target),
        dry_run=dry_run,
        rows=rows,
        totals=totals,
        findings=prepared.findings if findings is None else findings,
        settings=locations.settings,
        buckets_to_create=prepared.buckets_to_create,
        next_steps=() if dry_run else next_steps(locations, stopping),
        seconds=seconds,
        counting_is_final=final or not stopping.event.is_set(),
        interrupted_by=stopping.signal,
        compared_by="size" if dry_run or by_size else "content",
    )


def _buckets(locations: Locations) -> Callable[[str], str | None]:
    """The bucket in which an organization's raw files lie or will lie: the target's, else the source's."""
    for location in (locations.target, locations.source):
        if isinstance(location, S3Location):
            return location.naming.bucket_of
    return lambda organization: None


def next_steps(locations: Locations, stopping: Stopping) -> tuple[str, ...]:
    """What the operator does after a migration."""
    if stopping.signal:
        return ("Run the same command again: it goes on where it was.",)
    return (
        "What to do next",
        "  1. Stop Bytes, run the same command once more for what came in meanwhile, and look that it says that nothing is left.",
        "  2. Give Bytes these settings:",
        *(f"       {line}" for line in settings_lines(locations.target)),
        "  3. Start Bytes and open some raw file in OpenKAT, an old one and a new one.",
        "  To go back: put the old settings back and restart Bytes; nothing was removed from the source. What Bytes saved at the",
        "  new place meanwhile comes back with the same command, with --from and --to swapped.",
    )
