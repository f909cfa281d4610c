"""`audit`: what Bytes' database says must be there, against what is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from migrator.app.audit_bytes_calls import what_bytes_can_do
from migrator.app.audit_findings import audit_findings, bucket_at, first_of_all, owner_findings, raws_findings
from migrator.app.first_checks import refuse_idle_limits
from migrator.app.options import MOST_JOBS, Options, Watch
from migrator.app.ownership import why_closed
from migrator.app.stopping import Stopping
from migrator.app.store_factory import patience_of, reading, throttle_of
from migrator.checks.audit.audit import Audit, AuditedEnds
from migrator.checks.audit.bytes_api import BytesApi, RawFileAnswer, Reply
from migrator.checks.audit.content_check import RecordProver
from migrator.checks.audit.database import Wanted, dsn_of, is_dsn, reading_database
from migrator.checks.audit.database_row import Recorded
from migrator.checks.audit.exported_rows import read_rows
from migrator.checks.audit.nacl import BoxOpener
from migrator.checks.audit.settings import AuditSettings
from migrator.checks.audit.tally import Audited, AuditTally, Kind
from migrator.checks.sample import AuditSample
from migrator.config.locations import Location
from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.errors import CannotStart, SettingsError
from migrator.core.findings import Finding
from migrator.core.naming import broken_bucket_rule
from migrator.core.notices import Problem, ignore_notice
from migrator.core.open_files import jobs_that_fit
from migrator.core.protocols import Source
from migrator.doctor.finding_shorthands import warned
from migrator.reports.report import ReportRow
from migrator.reports.text.audit import ApiAnswers, AuditReport
from migrator.stores.lane_selection import reading_lane
from migrator.sync.coordinator import Observer
from migrator.sync.messages import ProgressEvent

_READERS = 8
"""Contents in flight: boto3 gets slower with more threads, and a disk is no faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditWish:
    """What an audit was asked for. `sample` of how many raw files a running Bytes at `api` is asked for. `probe`: try Bytes' calls."""

    database: str | None = None
    contents: bool = False
    api: str | None = None
    sample: int = 0
    seed: int = 0
    ages: Ages = ANY_AGE
    probe: bool = False


def audit(settings: AuditSettings, wish: AuditWish, options: Options, watch: Watch, stopping: Stopping) -> AuditReport:
    """Compare rows and raw files. Writes nothing without `wish.probe`. Raises MigratorError."""
    started = time.monotonic()
    named = settings.database(wish.database)
    opener = _opener(settings) if wish.contents else None
    api = _signed_in(settings, wish.api) if wish.api else None
    sample = AuditSample(wish.sample, wish.seed) if api is not None else None
    refuse_idle_limits([end for end in (settings.source, settings.target) if end is not None], options, writes=False)
    patience, throttle = patience_of(options, stopping.event), throttle_of(options, stopping.event)
    send = _to_all(watch(None))
    with ExitStack() as stack:
        wanted = _wanted(wish, options)
        where, rows = stack.enter_context(_rows(named.value, named.origin, wanted))
        rows = _not_empty(rows, where, options, is_part=bool(wish.ages or wanted.organizations))
        target = stack.enter_context(reading(settings.target, patience, throttle))
        source = (
            stack.enter_context(reading(settings.source, patience, throttle)) if settings.source is not None else None
        )
        prover = None
        if wish.contents:
            lane_for = partial(reading_lane, target, largest_window=jobs_that_fit(MOST_JOBS))
            prover = RecordProver(target, opener, jobs=options.jobs or _READERS, lane_for=lane_for)
            stack.enter_context(closing(prover))
        work = Audit(
            AuditedEnds(
                target=target,
                source=source,
                broken_rule=lambda name: _broken_rule(settings.target, name),
                why_closed=stack.enter_context(why_closed(settings.target, options)),
            ),
            prover=prover,
            sample=sample,
            ages=wish.ages,
            stopping=stopping.event,
            send=send,
        )
        organizations, findings = _organizations(target, wanted.organizations)
        work.run(rows, organizations)
    audited = work.audited
    if not stopping.event.is_set():
        _refuse_unknown(audited, wanted.organizations, settings, is_part=bool(wish.ages))
    answers = _ask(api, sample, wish, audited, send, stopping) if api is not None and sample is not None else None
    calls, called = what_bytes_can_do(settings, audited, options, probe=wish.probe and not stopping.event.is_set())
    raws = raws_findings(api, answers, settings) if api is not None and answers is not None else ()
    return AuditReport(
        target=settings.target,
        source=settings.source,
        database=where,
        contents=wish.contents,
        ages=wish.ages.in_words(),
        rows=_rows_of(audited, settings.target),
        audited=audited,
        findings=(
            *settings.findings,
            *findings,
            *audit_findings(audited, settings, contents=wish.contents),
            *raws,
            *called,
            *owner_findings(audited, settings.target, options),
        ),
        calls=calls,
        settings=settings.settings,
        first=first_of_all(audited, settings, contents=wish.contents),
        api=answers,
        seconds=time.monotonic() - started,
        started=time.time() - (time.monotonic() - started),
        interrupted_by=stopping.signal,
    )


def _rows_of(audited: Audited, target: Location) -> tuple[ReportRow[AuditTally], ...]:
    return tuple(
        ReportRow(organization=name, bucket=bucket_at(target, name), tally=tally)
        for name, tally in sorted(audited.organizations.items())
    )


def _to_all(observers: Sequence[Observer]) -> Callable[[ProgressEvent], None]:
    def send(event: ProgressEvent) -> None:
        for observer in observers:
            observer.on_event(event)
            observer.tick()

    return send


# --- what is needed --------------------------------------------------------------------------------------------------


def _wanted(wish: AuditWish, options: Options) -> Wanted:
    """The columns and organizations that are asked for of the database."""
    return Wanted(
        digests=wish.contents or bool(wish.api),
        times=True,  # a missing raw file is told with its time
        organizations=tuple(sorted(set(options.organizations))),
    )


def _opener(settings: AuditSettings) -> BoxOpener | None:
    keys = settings.box_keys()
    return BoxOpener(keys.private.reveal(), keys.public.reveal()) if keys is not None else None


def _signed_in(settings: AuditSettings, url: str) -> BytesApi:
    """The login is tried at once, not after hours of reading."""
    api = BytesApi(url, *settings.login())
    api.sign_in()
    return api


@contextmanager
def _rows(named: str, origin: str, wanted: Wanted) -> Iterator[tuple[str, Iterator[Recorded]]]:
    """The rows and where they are from."""
    if is_dsn(named):
        dsn = dsn_of(named, origin)
        with reading_database(dsn) as database:
            yield str(dsn), database.rows(wanted)
        return
    only = frozenset(wanted.organizations)
    rows = read_rows(Path(named))
    yield named, (row for row in rows if row.organization in only) if only else rows


def _not_empty(rows: Iterator[Recorded], where: str, options: Options, *, is_part: bool) -> Iterator[Recorded]:
    """Return the same rows, having looked at the first.

    Raises:
        CannotStart: If there is none, for then every file would be called orphaned; --allow-empty takes it for what it
            is.
    """
    first = next(rows, None)
    if first is not None:
        return chain((first,), rows)
    if is_part or options.allow_empty:
        return iter(())
    raise CannotStart(
        "database-empty",
        f"The database {where} has no raw file at all.",
        why="A fresh or restored database looks like this.",
        cure="Check BYTES_DB_URI or --database. If it is meant to be empty, add --allow-empty.",
    )


def _organizations(target: Source, chosen: Sequence[str]) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Return those with a place at the target, ascending; where they cannot be listed, the database alone names them.

    Raises:
        CannotStart: If they cannot be listed for another reason than rights.
    """
    if chosen:
        return tuple(chosen), ()
    try:
        return tuple(sorted(target.organizations(ignore_notice))), ()
    except CannotStart as error:
        if error.name != "list-buckets-denied":
            raise
        finding = warned(
            error.name,
            "These credentials may not list buckets: only organizations that the database names were looked at.",
            "Orphaned files of theirs are not counted; everything that Bytes knows of is.",
            "Allow s3:ListAllMyBuckets to have them counted too.",
        )
        return (), (finding,)


def _refuse_unknown(audited: Audited, chosen: Sequence[str], settings: AuditSettings, *, is_part: bool) -> None:
    for name in chosen:
        tally = audited.organizations.get(name)
        if tally is None or not (tally.rows.files or tally.orphaned.files or is_part):
            raise SettingsError(
                "organization-unknown",
                f"There is no organization {name!r}, neither in the database nor at {settings.target}.",
                cure="Check the spelling: it is the organization's code.",
            )


def _broken_rule(location: Location, organization: str) -> str | None:
    bucket = bucket_at(location, organization)
    return broken_bucket_rule(bucket) if bucket is not None else None


# --- what is told ----------------------------------------------------------------------------------------------------


def _ask(
    api: BytesApi,
    sample: AuditSample,
    wish: AuditWish,
    audited: Audited,
    send: Callable[[ProgressEvent], None],
    stopping: Stopping,
) -> ApiAnswers:
    """Ask a running Bytes for the sample; what it does not answer rightly is a problem."""
    answered: list[RawFileAnswer] = []
    if sample.rows():
        api.sign_in()  # the first token may have ended by now
    for row in sample.rows():
        if stopping.event.is_set():
            break
        answer = api.ask(row)
        answered.append(answer)
        if answer.reply not in (Reply.PROVEN, Reply.UNHASHED):
            where = f"{api.url}/bytes/raw/{row.raw_id}"
            problem = Problem(Kind.API.value, row.organization, where, answer.reason, row.raw_id, answer.size)
            audited.add_problem(Kind.API, problem)
            send(ProgressEvent(organization=row.organization, problems=[problem]))
    return ApiAnswers(url=api.url, wanted=wish.sample, seed=wish.seed, answered=tuple(answered))
