"""What an audit tells beside its counts: causes that are likely, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from migrator.app.options import Options
from migrator.app.ownership import bytes_user
from migrator.checks.audit.audit import moment_of
from migrator.checks.audit.bytes_api import BytesApi
from migrator.checks.audit.settings import MIDDLEWARE, AuditSettings
from migrator.checks.audit.tally import Audited, Kind
from migrator.config.locations import DiskLocation, Location, S3Location
from migrator.core.findings import Finding, FindingStatus
from migrator.core.tally import Tally
from migrator.doctor.disk_checks import access_findings
from migrator.doctor.finding_shorthands import warned
from migrator.doctor.server import raws_finding
from migrator.reports.formatting import files, number
from migrator.reports.text.audit import ApiAnswers
from migrator.stores.disk.preflight import folders_above
from migrator.sync.source_overview import check_bucket_names, names_cure


def bucket_at(location: Location, organization: str) -> str | None:
    """Return the organization's bucket; None for a disk."""
    return location.naming.bucket_of(organization) if isinstance(location, S3Location) else None


def raws_findings(api: BytesApi, answers: ApiAnswers, settings: AuditSettings) -> tuple[Finding, ...]:
    """Try the call that Bytes cannot do on S3, where it was asked for raw files there."""
    if not isinstance(settings.target, S3Location) or not answers.answered:
        return ()
    status = api.status_of_raws(answers.answered[0].row.raw_id)
    if status == 200:
        return ()
    found = raws_finding()
    answer = f"HTTP {status}" if status else "nothing"
    seen = f"Bytes at {api.url} answered {answer} to GET /bytes/raws."
    return (replace(found, seen=seen if status != 500 else f"{seen} {found.seen}"),)


def audit_findings(audited: Audited, settings: AuditSettings, *, contents: bool) -> Iterator[Finding]:
    """Yield what the counts and listings of an audit say of the location, the settings and the credentials."""
    tally, target = audited.overall(), settings.target
    if tally.rows.files and not (tally.readable.files or tally.closed.files or tally.orphaned.files):
        yield warned(
            "location-empty",
            f"There is no raw file at all at {target}.",
            "That is normal before a migration; an unmounted volume or a wrong setting looks the same.",
            "Check the location first.",
        )
    if tally.missing.files:
        yield _missing_finding(audited)
    if settings.source is None and tally.missing.files:
        yield warned(
            "no-other-location",
            "What is missing was not looked for elsewhere.",
            "These settings name no other location.",
            "Name another place with --from: disk, s3, an env file, a path, or s3://bucket/{organization}.",
        )
    if audited.unlistable:
        shown = "; ".join(f"{name!r}: {rule}" for name, rule in list(audited.unlistable.items())[:10])
        yield warned(
            "names",
            f"{len(audited.unlistable)} of {len(audited.organizations)} organizations can have no place at {target}: {shown}.",
            "Bytes computes these names itself, and would answer HTTP 500.",
            names_cure([(one, target.naming.bucket_of(one)) for one in audited.unlistable])
            if isinstance(target, S3Location)
            else "Look at these rows of boefje_meta: OpenKAT gives no such code.",
        )
    if isinstance(target, S3Location):
        listed = [(one, target.naming.bucket_of(one)) for one in audited.organizations if one not in audited.unlistable]
        found, _ = check_bucket_names(listed, {bucket for _, bucket in listed})
        if found.status is FindingStatus.WARNING:
            yield found
    if audited.unreadable_folders:
        yield warned(
            "folders-unreadable",
            f"{audited.unreadable_folders} folders could not be read: raw files in them are counted as not there.",
            "Bytes runs as another user, and may read them.",
            "Run this as Bytes' user or as root.",
        )
    if contents:
        yield from _content_findings(audited, settings)


def first_of_all(audited: Audited, settings: AuditSettings, *, contents: bool) -> str:
    """What an operator has to know before any count is believed; empty for nothing."""
    tally = audited.overall()
    if not contents or settings.says_encryption or tally.proven.files or not tally.altered.files:
        return ""
    return (
        f"Not one of {number(tally.altered.files)} contents is what Bytes recorded, and no setting says how Bytes encrypts ({MIDDLEWARE}). "
        "Most likely they are encrypted, and not altered: give Bytes' own settings with --env-file FILE and run this again."
    )


def _missing_finding(audited: Audited) -> Finding:
    span = audited.missing_span
    when = f" Their scans ended between {moment_of(span[0])} and {moment_of(span[1])}." if span is not None else ""
    return warned(
        "missing",
        f"{files(audited.overall().missing.files)} of the database were found nowhere: lost, or never saved.{when}",
        "Bytes writes the row before the file, and keeps it when saving fails: a full disk, or S3 that refused it.",
        "HTTP 500 for POST /bytes/raw in Bytes' log of these times is a failed save (journalctl -u kat-bytes, "
        "or docker compose logs bytes). A later backup shows whether there was a file. If it is lost, run the boefje again.",
    )


def owner_findings(audited: Audited, target: Location, options: Options) -> Iterator[Finding]:
    """What is to be told of owners and modes, but for what is well."""
    user = bytes_user(target, options)
    if user is None or not isinstance(target, DiskLocation) or not audited.overall().rows.files:
        return
    closed = audited.problems[Kind.CLOSED]
    tally = Tally(closed=audited.overall().closed)
    first = [problem.where for problem in closed]
    for finding in access_findings(str(target.root), user, tally, first, (), folders_above(user, target.root)):
        if finding.status is not FindingStatus.PASS:
            yield finding


def _content_findings(audited: Audited, settings: AuditSettings) -> Iterator[Finding]:
    tally = audited.overall()
    if tally.unhashed.files:
        yield warned(
            "unhashed",
            f"{tally.unhashed.files:,} raw files have no recorded digest, so nothing is known of their contents.",
            "Their rows lack secure_hash or ended_at.",
        )
    only_altered = tally.altered.files and not settings.says_encryption
    if tally.proven.files or (tally.altered.files + tally.undecodable.files < 2 and not only_altered):
        return
    if tally.altered.files:
        yield warned(
            "nothing-matches",
            f"Not one of {tally.altered.files:,} contents is what Bytes recorded.",
            "A setting is probably wrong: contents may be encrypted.",
            "Give BYTES_ENCRYPTION_MIDDLEWARE, BYTES_PRIVATE_KEY_B64 and BYTES_PUBLIC_KEY_B64 as the running Bytes has them.",
        )
    else:
        yield warned(
            "nacl-keys-wrong",
            f"Not one of {tally.undecodable.files:,} contents could be decoded.",
            "The keys are probably wrong.",
            "Check that BYTES_PRIVATE_KEY_B64 and BYTES_PUBLIC_KEY_B64 are what the running Bytes has.",
        )
