"""Which bulk lane fits between two stores, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.protocols import Source, Target
from migrator.stores.disk import DiskSource
from migrator.stores.s3.store import S3Source, S3Target

if TYPE_CHECKING:
    from migrator.transfer.sink import BulkLane


def bulk_lane_between(source: Source, target: Target, *, largest_window: int) -> BulkLane | None:
    """The lane for small raw files; None where there is none (or no libcurl), and the careful lane carries everything."""
    wire = source.wire if isinstance(source, S3Source) else target.wire if isinstance(target, S3Target) else None
    if wire is None:
        return None
    from migrator.stores.s3 import bulk  # noqa: PLC0415 needs libcurl, which not every machine has

    if isinstance(target, S3Target):
        if isinstance(source, DiskSource):
            return bulk.BulkLane(bulk.Upload(source, target, wire), largest_window=largest_window)
        return None
    if isinstance(source, S3Source):
        return bulk.BulkLane(bulk.Download(source, target, wire), largest_window=largest_window)
    return None
