"""What the doctor sees of a target on disk: room, rights, and what is there already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from migrator.app.doctor_source import SAMPLE_SECONDS
from migrator.app.options import Options
from migrator.app.ownership import bytes_user
from migrator.app.store_factory import reading
from migrator.config.locations import DiskLocation
from migrator.core.errors import MigratorError
from migrator.core.findings import Finding
from migrator.doctor.bytes_user import NO_USER
from migrator.doctor.disk_checks import disk_findings
from migrator.doctor.source import SourceSample, need_of, sample_of
from migrator.stores.disk.preflight import inspect_disk
from migrator.sync.source_overview import SourceOverview
from migrator.transfer.retry import RetryPolicy


def inspect_disk_target(
    location: DiskLocation, options: Options, overview: SourceOverview, sample: SourceSample, there: SourceSample
) -> Iterator[Finding]:
    """`there` is the sample of what the folder has already."""
    user = bytes_user(location, options) or NO_USER
    seen = inspect_disk(location.root, folder_mode=location.folder_mode, file_mode=location.file_mode, user=user)
    seen = replace(seen, is_for_bytes=location.is_for_bytes)
    yield from disk_findings(seen, need_of(sample, there) if overview.organizations else None)


def sample_of_target(location: DiskLocation, overview: SourceOverview) -> SourceSample:
    """What the folder has already; errors of listing it are in the sample."""
    if not os.path.isdir(location.root):
        return SourceSample()
    try:
        with reading(location, RetryPolicy(seconds=0)) as target:
            return sample_of(target, overview.organizations, seconds=SAMPLE_SECONDS)
    except MigratorError as error:
        return SourceSample(exact=False, errors=[(location.root.name, error)])
