"""What a server was seen to be and to do, beside Bytes' calls."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from migrator.core.errors import MigratorError
from migrator.core.findings import Finding
from migrator.doctor import finding_names
from migrator.doctor.finding_shorthands import failed, passed, some_of, warned

SKEW_SHOWN_FROM = 60.0
SKEW_REFUSED_FROM = 900.0
"""S3 takes signatures that are up to 15 minutes off."""
SLOW_FROM = 0.2
SAMPLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    """What answers told by the way. None: not told. `skew` and `latencies` in seconds; `versioning` "", "Enabled" or "Suspended"."""

    endpoint: str
    trouble: MigratorError | None = None
    skew: float | None = None
    latencies: tuple[float, ...] = ()
    virtual_hosted: bool = False
    versioning: str | None = None
    locked: bool | None = None
    encryption: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """What a writing probe saw beyond `Capabilities`; None: it could not be seen."""

    lists_in_byte_order: bool | None = None
    has_part_minimum: bool | None = None
    checks_checksums: bool | None = None
    returns_checksums: bool | None = None


def server_findings(seen: ServerSeen) -> Iterator[Finding]:
    """Reachable or not; and if it is, clock, speed, addressing and what the bucket is set to."""
    if seen.trouble is not None:
        error = seen.trouble
        yield failed(
            finding_names.SERVER_REACHABLE,
            error.what,
            error.why or "Nothing can be read or written there, by this program or by Bytes.",
            error.cure or "Check AWS_ENDPOINT_URL, the name and port in it, firewalls, and that the server runs.",
        )
        return
    yield passed(finding_names.SERVER_REACHABLE, f"{seen.endpoint} answers as S3, and takes the credentials.")
    yield from _clock(seen)
    yield from _latency(seen)
    way = "virtual-host" if seen.virtual_hosted else "path"
    yield passed(
        finding_names.ADDRESSING, f"Buckets are addressed {way}-style, as boto3 does it for Bytes with this endpoint."
    )
    yield from _versioning(seen)
    yield from _lock(seen)
    yield from _encryption(seen)


def _clock(seen: ServerSeen) -> Iterator[Finding]:
    if seen.skew is None:
        yield warned(
            finding_names.CLOCK, "The server's answers have no date.", "S3 refuses signatures that are 15 minutes off."
        )
    elif abs(seen.skew) < SKEW_SHOWN_FROM:
        yield passed(finding_names.CLOCK, "The clocks of this machine and of the server agree.")
    else:
        make = failed if abs(seen.skew) >= SKEW_REFUSED_FROM else warned
        yield make(
            finding_names.CLOCK,
            f"The server's clock is {abs(seen.skew):,.0f} seconds {'ahead of' if seen.skew > 0 else 'behind'} this machine's.",
            "S3 refuses signatures that are 15 minutes off, and ages of files are wrong.",
            "Set the clock that is wrong: timedatectl set-ntp true",
        )


def _latency(seen: ServerSeen) -> Iterator[Finding]:
    if not seen.latencies:
        return
    median = statistics.median(seen.latencies)
    text = f"An answer takes {median * 1000:,.0f} ms (median of {len(seen.latencies)})."
    if median < SLOW_FROM:
        yield passed(finding_names.LATENCY, text)
    else:
        yield warned(
            finding_names.LATENCY,
            text,
            "It is slower, not wrong.",
            "Run this nearer to the server if possible.",
        )


def _versioning(seen: ServerSeen) -> Iterator[Finding]:
    if seen.versioning is None:
        return
    if seen.versioning == "Enabled":
        yield warned(
            finding_names.VERSIONING,
            "The bucket keeps versions.",
            "Removed probes and replaced provisional copies stay as old versions.",
            "A lifecycle rule can expire noncurrent versions.",
        )
    else:
        yield passed(finding_names.VERSIONING, "The bucket keeps no versions.")


def _lock(seen: ServerSeen) -> Iterator[Finding]:
    if seen.locked is None:
        return
    if seen.locked:
        yield warned(
            finding_names.OBJECT_LOCK,
            "The bucket has object lock.",
            "With a default retention, a provisional copy cannot be replaced.",
            "Migrate after Bytes was stopped, or use another bucket.",
        )
    else:
        yield passed(finding_names.OBJECT_LOCK, "The bucket has no object lock.")


def _encryption(seen: ServerSeen) -> Iterator[Finding]:
    if seen.encryption is None:
        return
    if seen.encryption.startswith("aws:kms"):
        yield warned(
            finding_names.ENCRYPTION,
            f"The bucket encrypts with {seen.encryption} by default.",
            "Contents are then proven by reading them back; Bytes' key needs the KMS key.",
            "Allow kms:GenerateDataKey and kms:Decrypt on the key, or set the default to SSE-S3 (AES256).",
        )
    else:
        yield passed(finding_names.ENCRYPTION, f"The bucket's default encryption: {seen.encryption or 'none'}.")


def habit_findings(habits: Quirks) -> Iterator[Finding]:
    """What is different from S3, and what this program does instead."""
    if habits.lists_in_byte_order is not None:
        if habits.lists_in_byte_order:
            yield passed(finding_names.LISTING, "Listings come in byte order, and keys come back as they were put.")
        else:
            yield warned(
                finding_names.LISTING,
                "Listings with '/' in keys come in the order of a folder tree, not of bytes.",
                "Each organization is listed by itself, as always.",
            )
    if habits.has_part_minimum is not None:
        if habits.has_part_minimum:
            yield passed(
                finding_names.MULTIPART, "Parts below 5 MiB are refused, as by S3; those of this program are larger."
            )
        else:
            yield warned(
                finding_names.MULTIPART,
                "Parts below 5 MiB are taken, which S3 refuses.",
                "This program's parts are larger.",
            )


def abilities_finding(lacking: Sequence[str], habits: Quirks | None) -> Finding:
    """What the server lacks of S3's protections, and what is done instead."""
    missing = list(lacking)
    if habits is not None and habits.checks_checksums is False:
        missing.append("it takes a wrong x-amz-checksum-sha256, so Content-MD5 and ETags are relied on instead")
    if habits is not None and habits.returns_checksums is False:
        missing.append("it keeps no checksums, so ETags or reading back prove contents")
    if not missing:
        return passed(
            finding_names.ABILITIES, "Conditional writes, digests on the way, MD5 ETags: the server does what S3 does."
        )
    return warned(
        finding_names.ABILITIES,
        f"This server lacks some protections that S3 has: {'; '.join(missing)}.",
        "Nothing is lost by it; it costs requests and time.",
    )


def region_finding(where: str, named: str, given: str | None) -> Finding:
    """The server named another region than the settings do: `named` instead of `given`."""
    return warned(
        "region-of-server",
        f"The server of {where} wants requests signed for the region {named!r}, and says so itself; set is {given or 'none'!r}."
        " The migration signs for that region.",
        "Bytes' client may not learn it from the server's answers.",
        f"Set AWS_DEFAULT_REGION={named} for Bytes too; it is in the settings that are printed at the end.",
    )


def foreign_finding(where: Sequence[str], inspected: int) -> Finding:
    """Objects at the target that Bytes would not have written; `where` are ``s3://`` URLs of the sample of `inspected` objects."""
    if not where:
        return passed(
            finding_names.FOREIGN_OBJECTS, f"Of {inspected:,} objects that were looked at, all are raw files."
        )
    return warned(
        finding_names.FOREIGN_OBJECTS,
        f"{len(where):,} of {inspected:,} objects that were looked at are no raw files of Bytes: {some_of(where)}.",
        "Somebody else writes there, or an earlier copy used other names. They are left alone.",
        "Find out whose they are. A bucket for Bytes alone is safest.",
    )


RAWS_LOST = "Saved reports, the crisis room and the deduplication of Docker boefjes need it; single raw files open"


def raws_finding() -> Finding:
    """What no setting and no server changes in S3 mode.

    Source: ``bytes/raw/raw_repository.py`` of Bytes 1.18 to 1.20: the S3 repository has no ``get_raws``. Its callers in OpenKAT are
    ``rocky/reports/views/base.py``, ``rocky/crisis_room/views.py`` and ``boefjes/job_handler.py``.
    """
    return warned(
        finding_names.BYTES_RAWS,
        "On S3, Bytes answers HTTP 500 to GET /bytes/raws.",
        f"No Bytes up to 1.20 supports it there. {RAWS_LOST}.",
        "If you need these, stay on disk, or ask OpenKAT to support the call.",
    )


BYTES_SEEN = ((1, 18), (1, 20))


def version_finding(version: str) -> Finding:
    """Whether what this program knows of Bytes was seen in that version; `version` begins with two numbers."""
    major, minor = (int(part) for part in version.split(".")[:2])
    first, last = BYTES_SEEN
    if first <= (major, minor) <= last:
        return passed(finding_names.BYTES_VERSION, f"Bytes {version} is one that this program knows: 1.18 to 1.20.")
    age = "older" if (major, minor) < first else "newer"
    return warned(
        finding_names.BYTES_VERSION,
        f"Bytes {version} is {age} than what this program was compared with, 1.18 to 1.20.",
        "It may look for raw files elsewhere, or make other calls.",
        "Try one organization or a test installation first; docs/bytes-versions.md says what to check.",
    )
