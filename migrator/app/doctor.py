"""Looks at both ends as the doctor does; `plan` and `migrate` look first too.

A forced finding stays in the list, marked as forced. A look that asks a server is left out if its finding is forced, and that is said.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial

from migrator.app.bytes_s3_calls import (
    finding_of,
    forced_findings,
    is_name_taken,
    keep_for_a_run,
    known_finding,
    names_taken,
    newest_replays,
    works_finding,
)
from migrator.app.options import Options
from migrator.app.ownership import Ownership, bytes_user
from migrator.app.prepared import Prepared
from migrator.app.read_through import read_through_verdict
from migrator.app.store_factory import as_refusal, overview_of, reading
from migrator.config.checks import ALL_WELL, profile_finding
from migrator.config.locations import DiskLocation, Locations, S3Location, endpoint_identity, is_aws
from migrator.core.errors import MigratorError, SettingsError
from migrator.core.findings import Finding, FindingStatus
from migrator.core.naming import broken_bucket_rule, is_sent_by_boto3
from migrator.core.outcomes import Denial
from migrator.core.parallel_calls import run_concurrently
from migrator.core.protocols import Source
from migrator.doctor import finding_names
from migrator.doctor.bytes_calls import Replay, untried_finding
from migrator.doctor.bytes_user import NO_USER
from migrator.doctor.concurrent_runs import ledgers_finding, run_finding
from migrator.doctor.denied_buckets import denials_by, denied_findings, refusals_in
from migrator.doctor.disk_checks import disk_findings
from migrator.doctor.finding_shorthands import failed, passed
from migrator.doctor.nginx_lines import nginx_lines
from migrator.doctor.rights import Right, rights_finding
from migrator.doctor.server import (
    Quirks,
    abilities_finding,
    foreign_finding,
    habit_findings,
    raws_finding,
    region_finding,
    server_findings,
    version_finding,
)
from migrator.doctor.source import SourceSample, listing_errors, need_of, sample_of, source_findings
from migrator.ledger.directory import is_running
from migrator.ledger.ledger import ledger_read, ledgers_read
from migrator.reports.text.doctor import DoctorReport
from migrator.stores.disk.preflight import inspect_disk
from migrator.stores.s3.capabilities import Capabilities, probe
from migrator.stores.s3.probes.bytes_calls import replay
from migrator.stores.s3.probes.client import ProbeClient
from migrator.stores.s3.probes.preflight import ServerInspection, foreign
from migrator.stores.s3.probes.quirks import probe_habits
from migrator.sync.preflight import SourceOverview, as_forced, check_bucket_names, not_inspected
from migrator.transfer.retry import RetryPolicy

_SAMPLE_SECONDS = 2.0
_FIRST_SAMPLE_SECONDS = 0.15
_PROBE_SECONDS = 5.0
"""For a server that fails for a moment, as rclone does where one object is written twice at a time."""
_BUCKETS_TRIED = 100
_COPYING = ("migrate", "watch")
_EMPTY_OVERVIEW = SourceOverview(organizations=(), problems=(), stray_bytes=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRequest:
    """What the doctor was asked for: a probe that writes, and the version of Bytes, "" for the ones that are known.

    `read_through`: look whether nginx can read through to the data folder; `nginx_user`: whom it runs as, None for whom it is known to.
    """

    probe: bool = False
    bytes_version: str = ""
    read_through: bool = False
    nginx_user: str | None = None


@dataclass(slots=True, kw_only=True)
class _Examination:
    """What was asked for, and what was found so far: `findings`, `buckets` and `nginx` as in `DoctorReport`."""

    locations: Locations
    options: Options
    wish: DoctorRequest
    run_id: str
    stack: ExitStack
    findings: list[Finding]
    buckets: list[tuple[str, str | None, bool | None]] = field(default_factory=list)
    nginx: tuple[str, ...] = ()


def examine(locations: Locations, options: Options, wish: DoctorRequest, run_id: str) -> DoctorReport:
    """Look at everything. Writes nothing without `wish.probe`. Raises SettingsError for what cannot be meant."""
    began = time.monotonic()
    fired = {one.name for one in locations.findings}
    with ExitStack() as stack:
        found = _Examination(
            locations=locations,
            options=options,
            wish=wish,
            run_id=run_id,
            stack=stack,
            findings=[
                *locations.findings,
                *(passed(name, seen) for name, seen in ALL_WELL.items() if name not in fired),
            ],
        )
        if wish.bytes_version:
            found.findings.append(version_finding(wish.bytes_version))
        overview, sample = _source(found)
        if isinstance(locations.target, S3Location):
            found.findings.append(raws_finding())
            _s3_target(locations.target, overview, found)
        else:
            there = _sample_of_disk(locations.target, overview)
            found.findings += listing_errors(there, str(locations.target))
            found.findings += _disk_target(locations.target, options, overview, sample, there)
            access = Ownership(locations.target, options, seconds=_SAMPLE_SECONDS)
            access.scan()
            found.findings += access.findings(passed=True)
            found.buckets = [(one, None, None) for one in overview.organizations]
    found.findings += _writers(locations, options)
    if wish.read_through:
        reads = read_through_verdict(locations, nginx_user=wish.nginx_user)
        found.findings += reads.findings
        found.nginx = reads.nginx or found.nginx
    findings = as_forced(found.findings, options.forced)
    return DoctorReport(
        source=str(locations.source),
        target=str(locations.target),
        findings=findings,
        settings=locations.settings,
        buckets=tuple(found.buckets),
        nginx=found.nginx,
        probed=wish.probe,
        seconds=time.monotonic() - began,
        exit_status=int(any(one.status is FindingStatus.ERROR and not one.forced for one in findings)),
    )


def first_findings(
    prepared: Prepared, options: Options, source: Source, target: Source
) -> tuple[tuple[Finding, ...], dict[str, Denial]]:
    """What `plan` and `migrate` look at besides, before anything is written: half a second at most on a local server.

    Returns the findings, and the organizations on whose bucket alone a right is missing. What passed is left out, and so is what is told
    elsewhere in a report: strays and folders that cannot be read.
    """
    locations, overview = prepared.locations, prepared.overview
    with ThreadPoolExecutor(1, thread_name_prefix="look") as beside:
        rights = beside.submit(_rights_to_write, prepared, options)
        sample = sample_of(source, overview.organizations, seconds=_FIRST_SAMPLE_SECONDS)
    is_disk = isinstance(locations.source, DiskLocation)
    names = (finding_names.SOURCE_IN_USE,)
    found = [one for one in source_findings((), sample, is_disk=is_disk, now=time.time()) if one.name in names]
    if isinstance(locations.target, S3Location):
        found.append(raws_finding())
    if isinstance(locations.target, DiskLocation):
        there = SourceSample()
        if os.path.isdir(locations.target.root):
            there = sample_of(target, overview.organizations, seconds=_FIRST_SAMPLE_SECONDS)
        found += _disk_target(locations.target, options, overview, sample, there)
    of_rights, denied = rights.result()
    found += of_rights
    return tuple(one for one in found if one.status is not FindingStatus.PASS), denied


def _rights_to_write(prepared: Prepared, options: Options) -> tuple[list[Finding], dict[str, Denial]]:
    """On the buckets that are there; what may be done on a bucket that is not shows when it is made."""
    location = prepared.locations.target
    if not isinstance(location, S3Location) or not prepared.buckets_there:
        return [], {}
    if finding_names.RIGHTS_TARGET in options.forced:
        return [not_inspected(finding_names.RIGHTS_TARGET, "What these credentials may do at the target")], {}
    with as_refusal(), closing(ProbeClient(location.access)) as asker:
        rights = _rights_by_bucket(ServerInspection(asker, str(location)), prepared.buckets_there)
    refusing = refusals_in(rights)
    if not refusing or (len(refusing) == len(rights) and not prepared.buckets_to_create):
        return [
            rights_finding(finding_names.RIGHTS_TARGET, [one for some in rights.values() for one in some], "migrate")
        ], {}
    pairs = [(one, location.naming.bucket_of(one)) for one in prepared.overview.organizations]
    return list(denied_findings(refusing)), denials_by(refusing, pairs)


def _rights_by_bucket(server: ServerInspection, buckets: Sequence[str]) -> dict[str, list[Right]]:
    """What may be written, for each of the first 100 buckets."""
    tried = buckets[:_BUCKETS_TRIED]
    found = run_concurrently([partial(server.rights_to_write, bucket) for bucket in tried])
    return dict(zip(tried, found, strict=True))


# --- the source --------------------------------------------------------------------------------------------------------


def _source(found: _Examination) -> tuple[SourceOverview, SourceSample]:
    """Return the organizations, and a sample of them; an S3 source that cannot be asked has none.

    Raises:
        SettingsError: If its settings are wrong; every other error is a finding.
    """
    locations, options, asker = found.locations, found.options, None
    if isinstance(locations.source, S3Location):
        asker = _asker(locations.source, found)
        if asker is None or not _s3_source(locations.source, asker, found):
            return _EMPTY_OVERVIEW, SourceSample(exact=False)
    try:
        with as_refusal(), reading(locations.source, RetryPolicy(seconds=0)) as source:
            overview = overview_of(locations.source, source, options)
            sample = sample_of(source, overview.organizations, seconds=_SAMPLE_SECONDS)
    except SettingsError:
        raise
    except MigratorError as error:
        found.findings.append(failed(finding_names.SOURCE, error.what, error.why, error.cure))
        return _EMPTY_OVERVIEW, SourceSample(exact=False)
    is_disk = isinstance(locations.source, DiskLocation)
    found.findings += source_findings(overview.problems, sample, is_disk=is_disk, now=time.time())
    found.findings += listing_errors(sample, str(locations.source))
    if asker is not None and isinstance(locations.source, S3Location):
        found.findings.append(_rights_to_read(locations.source, overview, asker))
    return overview, sample


def _s3_source(location: S3Location, asker: ProbeClient, found: _Examination) -> bool:
    """Whether the server of the source can be asked at all."""
    server = ServerInspection(asker, _endpoint(location))
    _, trouble = server.existing(())
    found.findings += server_findings(server.seen(trouble))
    return trouble is None


def _rights_to_read(location: S3Location, overview: SourceOverview, asker: ProbeClient) -> Finding:
    server = ServerInspection(asker, _endpoint(location))
    rights: list[Right] = []
    for bucket in dict.fromkeys(map(location.naming.bucket_of, overview.organizations[:1])):
        rights += server.rights_to_read(bucket)[0]
    return rights_finding(finding_names.RIGHTS_SOURCE, rights, "reverse")


def _endpoint(location: S3Location) -> str:
    return location.access.endpoint_url or "AWS"


def _asker(location: S3Location, found: _Examination) -> ProbeClient | None:
    """Return a client for questions; None, with a finding, for credentials or settings with which none can be asked.

    Raises:
        SettingsError: If a setting is wrong.
    """
    try:
        asker = found.stack.enter_context(closing(ProbeClient(location.access)))
    except SettingsError:
        raise
    except MigratorError as error:
        found.findings.append(failed(finding_names.SERVER_REACHABLE, error.what, error.why, error.cure))
        return None
    by_files = profile_finding(asker.credentials_from)
    if by_files is not None:
        found.findings = [one for one in found.findings if one.name != finding_names.PROFILE_ONLY] + [by_files]
    return asker


# --- a target on disk --------------------------------------------------------------------------------------------------


def _disk_target(
    location: DiskLocation, options: Options, overview: SourceOverview, sample: SourceSample, there: SourceSample
) -> Iterator[Finding]:
    """`there` is the sample of what the folder has already."""
    user = bytes_user(location, options) or NO_USER
    seen = inspect_disk(location.root, folder_mode=location.folder_mode, file_mode=location.file_mode, user=user)
    seen = replace(seen, is_for_bytes=location.is_for_bytes)
    yield from disk_findings(seen, need_of(sample, there) if overview.organizations else None)


def _sample_of_disk(location: DiskLocation, overview: SourceOverview) -> SourceSample:
    if not os.path.isdir(location.root):
        return SourceSample()
    try:
        with reading(location, RetryPolicy(seconds=0)) as target:
            return sample_of(target, overview.organizations, seconds=_SAMPLE_SECONDS)
    except MigratorError as error:
        return SourceSample(exact=False, errors=[(location.root.name, error)])


# --- a target on S3 ----------------------------------------------------------------------------------------------------


def _s3_target(location: S3Location, overview: SourceOverview, found: _Examination) -> None:
    asker = _asker(location, found)
    if asker is None:
        return
    pairs = [(one, location.naming.bucket_of(one)) for one in overview.organizations]
    names_sent = [one for one in dict.fromkeys(bucket for _, bucket in pairs) if is_sent_by_boto3(one)]
    server = ServerInspection(asker, _endpoint(location))
    there, trouble = server.existing(names_sent)
    accepted = there | names_taken(newest_replays(found.options.state, location, names_sent))
    _, refused = check_bucket_names(pairs, accepted)
    buckets = list(dict.fromkeys(bucket for one, bucket in pairs if one not in refused))
    if trouble is None and found.wish.probe and finding_names.BUCKET_NAMES not in found.options.forced:
        buckets += [one for one in names_sent if one not in buckets]  # the server may take them all the same
    found.buckets = [(one, bucket, None if trouble else bucket in there) for one, bucket in pairs]
    region = asker.adapted(location.access).region
    if region is not None and region != location.access.region:
        found.findings.append(region_finding(str(location), region, location.access.region))
    if trouble is None:
        _inspect_buckets(location, server, [bucket for bucket in buckets if bucket in there], found)
        accepted |= _try(location, buckets, there, asker, found)
        server.sample_latency(next((bucket for bucket in buckets if bucket in there), None))
    if pairs:
        found.findings.append(check_bucket_names(pairs, accepted)[0])
    found.findings += server_findings(server.seen(trouble))


def _inspect_buckets(location: S3Location, server: ServerInspection, there: Sequence[str], found: _Examination) -> None:
    if not there:
        return
    rights: list[Right] = []
    strange: list[str] = []
    objects = 0
    for bucket in there:
        right, listed = server.rights_to_list(bucket)
        rights.append(right)
        odd, count = foreign(listed, location.naming, bucket)
        strange += odd
        objects += count
    rights += [right for some in _rights_by_bucket(server, there).values() for right in some]
    server.settings_of(there[0])
    found.findings.append(rights_finding(finding_names.RIGHTS_TARGET, rights, "migrate"))
    found.findings.append(foreign_finding(strange, objects))


def _try(
    location: S3Location, buckets: Sequence[str], there: frozenset[str], asker: ProbeClient, found: _Examination
) -> frozenset[str]:
    """Bytes' calls and the server's abilities: by trying, where that was asked for, else by what a run has kept of them.

    Returns the buckets that were made or are there. A name that breaks S3's rules and that the server refuses has its own finding.
    """
    if not buckets:
        return frozenset()
    options, run_id = found.options, found.run_id
    if not found.wish.probe:
        found.findings += _findings_of_earlier_replays(found, location, buckets)
        return frozenset()
    seen: list[tuple[Capabilities, Quirks]] = []
    failures: list[Finding] = []

    def meanwhile(bucket: str) -> None:
        if seen or failures or finding_names.ABILITIES in options.forced:
            return
        try:
            abilities = RetryPolicy(seconds=_PROBE_SECONDS).run(lambda: probe(asker.client, bucket, run_id))
        except MigratorError as error:
            failures.append(_untried(error))
            return
        abilities = replace(abilities, unsigned_payload=not asker.adapted(location.access).signs_payloads)
        seen.append((abilities, probe_habits(asker, bucket, run_id)))

    replays: list[Replay] = []
    if finding_names.BYTES_CALLS in options.forced:
        found.findings += forced_findings(newest_replays(options.state, location, buckets), location, buckets)
    else:
        access = asker.adapted(location.access)  # as the printed settings will have it
        as_bytes = found.stack.enter_context(closing(ProbeClient(access, like_bytes=True, answers=asker.answers)))
        for bucket in sorted(buckets, key=lambda one: one not in there):
            exists = bucket in there
            tried = replay(
                as_bytes, bucket, run_id, exists=exists, ours=lambda: asker, meanwhile=partial(meanwhile, bucket)
            )
            replays.append(tried)
        replays = [one for one in replays if is_name_taken(one) or broken_bucket_rule(one.bucket) is None]
        if replays:
            found.findings.append(finding_of(replays, location))
        if any(one.is_already_there for one in replays) and not is_aws(location.access.endpoint_url):
            found.nginx = nginx_lines(asker.endpoint_url)
    open_to_us = there - {one.bucket for one in replays if one.is_denied}
    if not seen and open_to_us:
        meanwhile(next(bucket for bucket in buckets if bucket in open_to_us))
    if seen:
        abilities, habits = seen[0]
        found.findings.append(abilities_finding(abilities.missing(), habits))
        found.findings += habit_findings(habits)
    found.findings += failures
    keep_for_a_run(found.locations, options, location, replays, seen[0][0] if seen else None)
    return frozenset(one.bucket for one in replays if is_name_taken(one))


def _untried(error: MigratorError) -> Finding:
    return failed(
        finding_names.ABILITIES,
        f"What this server protects could not be found out. {error.what}",
        error.why,
        error.cure,
    )


def _findings_of_earlier_replays(
    found: _Examination, location: S3Location, buckets: Sequence[str]
) -> Iterator[Finding]:
    """What a run or another probe found out: that Bytes' calls work within the last day, or that they failed, whenever it was."""
    known = newest_replays(found.options.state, location, buckets)
    if finding_names.BYTES_CALLS in found.options.forced:
        yield from forced_findings(known, location, buckets)
    else:
        yield known_finding(known, location) or works_finding(known, buckets) or untried_finding()
    abilities = _abilities_known(found, location, buckets[0])
    if abilities is not None:
        yield abilities_finding(abilities.missing(), None)


def _abilities_known(found: _Examination, location: S3Location, bucket: str) -> Capabilities | None:
    """What the ledger has of the last day of the server's abilities."""
    locations = found.locations
    with ledger_read(found.options.state, locations.source.identity, locations.target.identity) as ledger:
        if ledger is None:
            return None
        place = f"{endpoint_identity(location.access.endpoint_url)} {bucket}"
        return Capabilities.from_dict(ledger.abilities(place, time.time()) or {})


# --- who else writes ---------------------------------------------------------------------------------------------------


def _writers(locations: Locations, options: Options) -> Iterator[Finding]:
    source, target = locations.source.identity, locations.target.identity
    own = options.state.ledger_path(source, target)
    with ledger_read(options.state, source, target) as ledger:
        last = ledger.runs(1) if ledger is not None else ()
    run = last[0].run_id if last and last[0].ended_at is None else ""
    yield run_finding(run, is_running=is_running(own))
    back = options.state.ledger_path(target, source)
    ends = {str(locations.source), str(locations.target)}
    others = []
    for other in ledgers_read(path for path in options.state.ledgers() if path not in (own, back)):
        copies = [run for run in other.runs() if run.command in _COPYING]  # a verification writes to neither end
        others += [f"{run.source} to {run.target}" for run in copies[:1] if ends & {run.source, run.target}]
    yield ledgers_finding(others)
