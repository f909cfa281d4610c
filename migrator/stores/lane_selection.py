"""Which bulk lane fits between two stores, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.core.protocols import Source, Target
from migrator.stores.disk.source import DiskSource
from migrator.stores.s3.source import S3Source, S3Target

if TYPE_CHECKING:
    from migrator.transfer.batch_sink import BulkLane


def bulk_lane_between(source: Source, target: Target, *, largest_window: int) -> BulkLane | None:
    """The lane for small raw files; None where there is none (or no libcurl), and the careful lane carries everything."""
    wire = source.wire if isinstance(source, S3Source) else target.wire if isinstance(target, S3Target) else None
    if wire is None:
        return None
    from migrator.stores.s3.transfer import small_objects  # noqa: PLC0415 - loads libcurl, which plan and verify of disks never need

    if isinstance(target, S3Target):
        if isinstance(source, DiskSource):
            return small_objects.BulkLane(small_objects.Upload(source, target, wire), largest_window=largest_window)
        return None
    if isinstance(source, S3Source):
        return small_objects.BulkLane(small_objects.Download(source, target, wire), largest_window=largest_window)
    return None
