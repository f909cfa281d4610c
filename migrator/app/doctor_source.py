"""What the doctor sees of the source: its organizations, a sample of its raw files, and the right to read them."""

from __future__ import annotations

import time

from migrator.app.doctor_examination import Examination, asker_of, endpoint_of
from migrator.app.store_factory import as_refusal, overview_of, reading
from migrator.config.locations import DiskLocation, S3Location
from migrator.core.errors import MigratorError, SettingsError
from migrator.core.findings import Finding
from migrator.doctor import finding_names
from migrator.doctor.finding_shorthands import failed
from migrator.doctor.rights import Right, rights_finding
from migrator.doctor.server import server_findings
from migrator.doctor.source import SourceSample, listing_errors, sample_of, source_findings
from migrator.stores.s3.probes.client import ProbeClient
from migrator.stores.s3.probes.preflight import ServerInspection
from migrator.sync.source_overview import SourceOverview
from migrator.transfer.retry import RetryPolicy

SAMPLE_SECONDS = 2.0
_EMPTY_OVERVIEW = SourceOverview(organizations=(), problems=(), stray_bytes=0)


def inspect_source(found: Examination) -> tuple[SourceOverview, SourceSample]:
    """Return the organizations, and a sample of them; an S3 source that cannot be asked has none.

    Raises:
        SettingsError: If its settings are wrong; every other error is a finding.
    """
    locations, options, asker = found.locations, found.options, None
    if isinstance(locations.source, S3Location):
        asker = asker_of(locations.source, found)
        if asker is None or not _s3_source(locations.source, asker, found):
            return _EMPTY_OVERVIEW, SourceSample(exact=False)
    try:
        with as_refusal(), reading(locations.source, RetryPolicy(seconds=0)) as source:
            overview = overview_of(locations.source, source, options)
            sample = sample_of(source, overview.organizations, seconds=SAMPLE_SECONDS)
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


def _s3_source(location: S3Location, asker: ProbeClient, found: Examination) -> bool:
    """Whether the server of the source can be asked at all."""
    server = ServerInspection(asker, endpoint_of(location))
    _, trouble = server.existing(())
    found.findings += server_findings(server.seen(trouble))
    return trouble is None


def _rights_to_read(location: S3Location, overview: SourceOverview, asker: ProbeClient) -> Finding:
    server = ServerInspection(asker, endpoint_of(location))
    rights: list[Right] = []
    for bucket in dict.fromkeys(map(location.naming.bucket_of, overview.organizations[:1])):
        rights += server.rights_to_read(bucket)[0]
    return rights_finding(finding_names.RIGHTS_SOURCE, rights, "reverse")
