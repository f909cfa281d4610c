"""What `plan` and `migrate` look at besides, before anything is written."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from migrator.app.doctor_disk_target import inspect_disk_target
from migrator.app.doctor_s3_target import rights_by_bucket
from migrator.app.first_check_result import Prepared
from migrator.app.options import Options
from migrator.app.store_factory import as_refusal
from migrator.config.locations import DiskLocation, S3Location
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import Denial
from migrator.core.protocols import Source
from migrator.doctor import finding_names
from migrator.doctor.denied_buckets import denials_by, denied_findings, refusals_in
from migrator.doctor.rights import rights_finding
from migrator.doctor.server import raws_finding
from migrator.doctor.source import SourceSample, sample_of, source_findings
from migrator.stores.s3.probes.client import ProbeClient
from migrator.stores.s3.probes.preflight import ServerInspection
from migrator.sync.source_overview import not_inspected

_SAMPLE_SECONDS = 0.15


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
        sample = sample_of(source, overview.organizations, seconds=_SAMPLE_SECONDS)
    is_disk = isinstance(locations.source, DiskLocation)
    names = (finding_names.SOURCE_IN_USE,)
    found = [one for one in source_findings((), sample, is_disk=is_disk, now=time.time()) if one.name in names]
    if isinstance(locations.target, S3Location):
        found.append(raws_finding())
    if isinstance(locations.target, DiskLocation):
        there = SourceSample()
        if os.path.isdir(locations.target.root):
            there = sample_of(target, overview.organizations, seconds=_SAMPLE_SECONDS)
        found += inspect_disk_target(locations.target, options, overview, sample, there)
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
        rights = rights_by_bucket(ServerInspection(asker, str(location)), prepared.buckets_there)
    refusing = refusals_in(rights)
    if not refusing or (len(refusing) == len(rights) and not prepared.buckets_to_create):
        return [
            rights_finding(finding_names.RIGHTS_TARGET, [one for some in rights.values() for one in some], "migrate")
        ], {}
    pairs = [(one, location.naming.bucket_of(one)) for one in prepared.overview.organizations]
    return list(denied_findings(refusing)), denials_by(refusing, pairs)
