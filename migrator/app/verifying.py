"""Puts `verify` together."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from migrator.app.bytes_call_replays import refusals_known
from migrator.app.dask_setup import key_findings
from migrator.app.engine_factory import engine_of
from migrator.app.first_check_result import are_parted
from migrator.app.first_checks import prepare_ends, refuse_idle_limits, undated_findings, undated_in
from migrator.app.migrating import deadline_of, new_run_id
from migrator.app.options import MOST_JOBS, Options, Watch
from migrator.app.ownership import Ownership
from migrator.app.reporting import buckets_of, totals_of
from migrator.app.run_memory import ProofRecord, known_findings
from migrator.app.stopping import Stopping
from migrator.app.store_factory import End, as_refusal, held_ledger_of, patience_of, reading, reading_both, throttle_of
from migrator.app.worker_config import VerifyConfig, WorkerConfig
from migrator.checks.manifest_writer import ManifestShards, refuse_manifest_inside
from migrator.checks.prover import Level
from migrator.checks.sample import VerifySample, draw
from migrator.checks.verify_sink import SAMPLED
from migrator.checks.verify_tracking import Proofs
from migrator.config.env_file import Setting
from migrator.config.locations import Location, Locations, S3Location
from migrator.core.findings import Finding
from migrator.core.notices import Denial
from migrator.core.protocols import Source
from migrator.doctor.finding_shorthands import warned
from migrator.reports.report import ReportRow
from migrator.reports.stored_form import as_kept, lines_as_kept
from migrator.reports.text.verify import Expected, Resumed, Verification, verification_lines
from migrator.sync.action_tables import AGAINST_SUMS, PROOF, PROOF_BY_SIZE, Rules
from migrator.sync.coordinator import Coordinator
from migrator.sync.manifest_reader import Manifest
from migrator.sync.source_counter import SourceCounter
from migrator.sync.source_overview import SourceOverview, as_forced, overview_of_source
from migrator.sync.totals import Totals
from migrator.transfer.throttle import Throttle

RELIED_UPON_SECONDS = 7 * 86_400.0
"""A shard that was proven longer ago is read again, whatever the listings say."""
_RESTS_SECONDS = 3.0
"""A file on disk that was touched less than this before it was listed could change again within one tick of the file system's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What a verification was asked for. `sample` is a number of raw files, None for all; `manifest` the folder to write one into."""

    level: Level
    sample: int | None = None
    seed: int = 0
    fresh: bool = False
    manifest: Path | None = None
    shows_progress: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What is compared with what, by which rules, and what the first look came to; `sample` is None for all raw files."""

    source: End
    target: Location
    settings: tuple[Setting, ...]
    proves: str
    rules: Rules
    overview: SourceOverview
    findings: tuple[Finding, ...]
    refused: frozenset[str] = frozenset()
    denied: Mapping[str, Denial] = field(default_factory=dict)
    sample: VerifySample | None


def verify_both(
    locations: Locations, options: Options, request: VerifyRequest, watch: Watch, stopping: Stopping
) -> Verification:
    """Hold the target against the source. Writes to neither. Raises MigratorError."""
    if request.manifest is not None:
        refuse_manifest_inside(request.manifest, (locations.source, locations.target))
    refuse_idle_limits((locations.source, locations.target), options, writes=False)
    with reading_both(locations, options, stopping.event) as (source, target, _, throttle):
        prepared = prepare_ends(locations, options, source, target, to_write=False)
        sample = _sample(source, prepared.overview, options, request, stopping)
    known = refusals_known(locations.target, prepared.buckets_there, locations, options)
    subject = _Subject(
        source=locations.source,
        target=locations.target,
        settings=locations.settings,
        proves=what_it_proves(request.level, locations),
        rules=PROOF_BY_SIZE if request.level is Level.SIZE else PROOF,
        overview=prepared.overview,
        findings=(*prepared.findings, *as_forced(known, options.forced)),
        refused=prepared.refused,
        denied=prepared.denied,
        sample=sample,
    )
    return _verify(subject, options, request, watch, stopping, throttle)


def verify_against(
    path: Path, end: Locations, options: Options, request: VerifyRequest, watch: Watch, stopping: Stopping
) -> Verification:
    """Hold one end, the target of `end`, against a manifest. Raises MigratorError."""
    refuse_idle_limits((end.target,), options, writes=False)
    manifest = Manifest(path)
    with reading(manifest, patience_of(options, stopping.event)) as source, as_refusal():
        overview = overview_of_source(source, str(manifest), options.organizations, allow_empty=False)
        sample = _sample(source, overview, options, request, stopping)
    subject = _Subject(
        source=manifest,
        target=end.target,
        settings=end.settings,
        proves="each raw file of the manifest is at this end, was read in full, and has the SHA-256 that the manifest says.",
        rules=PROOF if manifest.tells_sizes else AGAINST_SUMS,
        overview=overview,
        findings=end.findings,
        sample=sample,
    )
    return _verify(subject, options, request, watch, stopping, throttle_of(options, stopping.event))


def what_it_proves(level: Level, locations: Locations) -> str:
    """The level's promise for these two ends, in words."""
    if level is Level.SIZE:
        return "both ends list the same sizes. It says nothing of contents."
    both_read = "both ends were read in full, and what is proven is the same byte for byte."
    if level is Level.CONTENT:
        return both_read
    on_s3 = [isinstance(location, S3Location) for location in (locations.source, locations.target)]
    if not any(on_s3):
        return f"disks keep no digests, so {both_read}"
    unseen = "Damage on the server's disks is not seen: --level content reads it."
    if on_s3[1]:
        unseen += f" HEAD also found up to {SAMPLED} raw files of each organization there; the others are known from its listing only."
    if all(on_s3):
        return f"both servers keep the same digest, or what was read at the source has the digest that the target's server keeps. {unseen}"
    read, keeper = ("source", "target") if on_s3[1] else ("target", "source")
    return f"what was read at the {read} has the digest (ETag or stored checksum) that the {keeper}'s server keeps. {unseen}"


def _verify(
    subject: _Subject, options: Options, request: VerifyRequest, watch: Watch, stopping: Stopping, throttle: Throttle
) -> Verification:
    started, run_id = time.monotonic(), new_run_id()
    overview = subject.overview
    totals = totals_of(overview)
    sheets = ManifestShards(request.manifest) if request.manifest is not None else None
    proofs = Proofs(key=_key(subject, options, request), rests_ns=int(_RESTS_SECONDS * 1e9), sheets=sheets)
    with ExitStack() as stack:
        ledger = stack.enter_context(held_ledger_of(options, subject.source.identity, subject.target.identity))
        record = ProofRecord(
            ledger, run_id, totals, key=proofs.key, is_fresh=request.fresh, max_age=RELIED_UPON_SECONDS
        )
        stack.enter_context(record.running("verify", subject.source, subject.target, proofs.key))
        ledger.record_problems(run_id, overview.problems)
        if sheets is not None:
            sheets.prepare()
        recipe = _recipe_of(subject, options, request, run_id, proofs)
        engine = stack.enter_context(engine_of(recipe, overview.organizations, throttle, stopping.event))
        source = stack.enter_context(reading(subject.source, patience_of(options, stopping.event), throttle))
        ahead = None
        if subject.sample is None and request.shows_progress:  # counting costs a fifth of a core
            ahead = stack.enter_context(SourceCounter(source, overview.organizations, options.ages))
        observers = (*watch(ahead), *deadline_of(options, stopping))
        coordinator = Coordinator(
            engine=engine, memory=record, observers=observers, totals=totals, stopping=stopping.event
        )
        access = Ownership(subject.target, options, stopping=stopping.event)
        for event in access.events():
            coordinator.take_down(event)
        coordinator.run(overview.organizations, overview.problems)
        undated = undated_findings(options.ages, undated_in(totals, subject.source))
        found_here = (*undated, *ledger.findings, *access.findings(), *key_findings(recipe), *engine.findings)
        if not stopping.event.is_set():
            _end_whole(record, sheets, overview)
        report = _report_of(subject, request, record, totals, found_here, time.monotonic() - started, stopping)
        expected = Expected(ahead.total.files, ahead.is_final) if ahead is not None else None
        report = replace(report, known=known_findings(ledger), expected=expected)
        record.keep({**as_kept(report), **lines_as_kept(verification_lines(report))})
        record.end(report.exit_status)
    return report


def _recipe_of(
    subject: _Subject, options: Options, request: VerifyRequest, run_id: str, proofs: Proofs
) -> WorkerConfig:
    return WorkerConfig(
        source=subject.source,
        target=subject.target,
        refused=subject.refused,
        run_id=run_id,
        options=options,
        jobs=options.jobs or MOST_JOBS,
        parted=are_parted((subject.source, subject.target)) and len(subject.overview.organizations) > 1,
        denied=subject.denied,
        proving=VerifyConfig(level=request.level, rules=subject.rules, sample=subject.sample, proofs=proofs),
    )


def _end_whole(record: ProofRecord, sheets: ManifestShards | None, overview: SourceOverview) -> None:
    """Nothing is left to go on with: the manifest gets its lists, and the next verification reads everything again."""
    if sheets is not None:
        for organization in overview.organizations:
            sheets.put_together(organization, record.sheets.get(organization, {}))
        sheets.clear()
    record.forget_proofs()


def _report_of(
    subject: _Subject,
    request: VerifyRequest,
    record: ProofRecord,
    totals: Totals,
    found_here: tuple[Finding, ...],
    seconds: float,
    stopping: Stopping,
) -> Verification:
    sample, bucket_of = subject.sample, buckets_of(subject.source, subject.target)
    return Verification(
        command="verify",
        run=record.run_id,
        source=str(subject.source),
        target=str(subject.target),
        dry_run=False,
        rows=tuple(
            ReportRow(organization=organization, bucket=bucket_of(organization), tally=tally)
            for organization, tally in sorted(totals.organizations.items())
        ),
        totals=totals,
        findings=(*subject.findings, *found_here, *_sample_findings(sample)),
        settings=subject.settings,
        buckets_to_create=(),
        next_steps=("Rerun the same command to resume.",) if stopping.signal else (),
        seconds=seconds,
        started=time.time() - seconds,
        counting_is_final=not stopping.event.is_set(),
        interrupted_by=stopping.signal,
        compared_by=request.level.value,
        level=request.level.value,
        proves=subject.proves,
        seed=sample.seed if sample is not None else None,
        sampled_from=sample.drawn_from if sample is not None else None,
        resumed=_resumed(record, totals),
        manifest=str(request.manifest) if request.manifest is not None else None,
        against=str(subject.source) if isinstance(subject.source, Manifest) else None,
    )


def _sample(
    source: Source, overview: SourceOverview, options: Options, request: VerifyRequest, stopping: Stopping
) -> VerifySample | None:
    if request.sample is None:
        return None
    with as_refusal():
        return draw(source, overview.organizations, options.ages, request.sample, request.seed, stopping.event)


def _sample_findings(sample: VerifySample | None) -> Iterator[Finding]:
    if sample is None or sample.size >= sample.drawn_from:
        return
    yield warned(
        "sample",
        f"Only a sample was looked at: {sample.size:,} of {sample.drawn_from:,} raw files, with the seed {sample.seed}.",
        "A single damaged raw file may be outside it. Extra raw files at the target were not counted.",
    )


def _key(subject: _Subject, options: Options, request: VerifyRequest) -> str:
    """Tells verifications apart that prove different things; one that was broken off goes on only under the same key.

    Durations count back from now, so a filter by them is another one each time.
    """
    sample = subject.sample
    facts = (
        (subject.source.identity, subject.target.identity),
        request.level.value,
        options.ages.newer_than,
        options.ages.older_than,
        sample and (sample.seed, sorted(sample.scores.items())),
        str(request.manifest) if request.manifest is not None else None,
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _resumed(record: ProofRecord, totals: Totals) -> Resumed | None:
    earlier = totals.overall().present_unseen
    if not earlier.files:
        return None
    return Resumed(shards=record.relied_upon, files=earlier.files, bytes=earlier.bytes, oldest=record.oldest_seconds)
