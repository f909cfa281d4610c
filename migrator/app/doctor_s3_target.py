"""What the doctor sees of a target on S3: its buckets, rights on them, Bytes' own calls and the server's abilities."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from migrator.app.bytes_call_replays import (
    finding_of,
    forced_findings,
    is_name_taken,
    keep_for_a_run,
    known_finding,
    names_taken,
    newest_replays,
    works_finding,
)
from migrator.app.doctor_examination import Examination, asker_of, endpoint_of
from migrator.config.locations import S3Location, endpoint_identity, is_aws
from migrator.core.errors import MigratorError
from migrator.core.findings import Finding
from migrator.core.naming import broken_bucket_rule, is_sent_by_boto3
from migrator.core.parallel_calls import run_concurrently
from migrator.doctor import finding_names
from migrator.doctor.bytes_calls import Replay, untried_finding
from migrator.doctor.finding_shorthands import failed
from migrator.doctor.nginx_lines import nginx_lines
from migrator.doctor.rights import Right, rights_finding
from migrator.doctor.server import (
    Quirks,
    abilities_finding,
    foreign_finding,
    habit_findings,
    region_finding,
    server_findings,
)
from migrator.ledger.ledger import ledger_read
from migrator.stores.s3.capabilities import Capabilities, probe
from migrator.stores.s3.probes.bytes_calls import replay
from migrator.stores.s3.probes.client import ProbeClient
from migrator.stores.s3.probes.preflight import ServerInspection, foreign
from migrator.stores.s3.probes.quirks import probe_habits
from migrator.sync.source_overview import SourceOverview, check_bucket_names
from migrator.transfer.retry import RetryPolicy

_PROBE_SECONDS = 5.0
"""For a server that fails for a moment, as rclone does where one object is written twice at a time."""
_BUCKETS_TRIED = 100


def rights_by_bucket(server: ServerInspection, buckets: Sequence[str]) -> dict[str, list[Right]]:
    """What may be written, for each of the first 100 buckets."""
    tried = buckets[:_BUCKETS_TRIED]
    found = run_concurrently([partial(server.rights_to_write, bucket) for bucket in tried])
    return dict(zip(tried, found, strict=True))


def inspect_s3_target(location: S3Location, overview: SourceOverview, found: Examination) -> None:
    """Look at the buckets, the rights on them and the server; every error of the server is a finding.

    Raises:
        SettingsError: If a setting is wrong.
    """
    asker = asker_of(location, found)
    if asker is None:
        return
    pairs = [(one, location.naming.bucket_of(one)) for one in overview.organizations]
    names_sent = [one for one in dict.fromkeys(bucket for _, bucket in pairs) if is_sent_by_boto3(one)]
    server = ServerInspection(asker, endpoint_of(location))
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


def _inspect_buckets(location: S3Location, server: ServerInspection, there: Sequence[str], found: Examination) -> None:
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
    rights += [right for some in rights_by_bucket(server, there).values() for right in some]
    server.settings_of(there[0])
    found.findings.append(rights_finding(finding_names.RIGHTS_TARGET, rights, "migrate"))
    found.findings.append(foreign_finding(strange, objects))


def _try(
    location: S3Location, buckets: Sequence[str], there: frozenset[str], asker: ProbeClient, found: Examination
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


def _findings_of_earlier_replays(found: Examination, location: S3Location, buckets: Sequence[str]) -> Iterator[Finding]:
    """What a run or another probe found out: that Bytes' calls work within the last day, or that they failed, whenever it was."""
    known = newest_replays(found.options.state, location, buckets)
    if finding_names.BYTES_CALLS in found.options.forced:
        yield from forced_findings(known, location, buckets)
    else:
        yield known_finding(known, location) or works_finding(known, buckets) or untried_finding()
    abilities = _abilities_known(found, location, buckets[0])
    if abilities is not None:
        yield abilities_finding(abilities.missing(), None)


def _abilities_known(found: Examination, location: S3Location, bucket: str) -> Capabilities | None:
    """What the ledger has of the last day of the server's abilities."""
    locations = found.locations
    with ledger_read(found.options.state, locations.source.identity, locations.target.identity) as ledger:
        if ledger is None:
            return None
        place = f"{endpoint_identity(location.access.endpoint_url)} {bucket}"
        return Capabilities.from_dict(ledger.abilities(place, time.time()) or {})
