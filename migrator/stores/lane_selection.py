"""Which fast lane fits between two stores, if any."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeGuard

from migrator.checks.prover import AgainstManifest, Level, Prover, Proves
from migrator.core.entities import RawFile
from migrator.core.protocols import Source, Target
from migrator.stores.disk.source import DiskSource
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.target import S3Target

if TYPE_CHECKING:
    from migrator.transfer.batch_sink import FastLane


def bulk_lane_between(source: Source, target: Target, *, largest_window: int) -> FastLane | None:
    """The lane for small raw files; None where there is none (or no libcurl), and the careful lane carries everything."""
    ends = [store for store in (source, target) if isinstance(store, S3Source)]
    if not ends or (wire := ends[0].wire) is None:
        return None
    from migrator.stores.s3.transfer import fast_lane, fast_lane_transfers  # noqa: PLC0415 - loads libcurl, which disks never need

    job: fast_lane.Job
    if not isinstance(target, S3Target):
        if not isinstance(source, S3Source):
            return None
        job = fast_lane_transfers.Download(source, target, wire)
    elif isinstance(source, DiskSource):
        job = fast_lane_transfers.Upload(source, target, wire)
    elif isinstance(source, S3Source) and target.wire is not None:
        job = fast_lane_transfers.BucketToBucket(source, target, (wire, target.wire))
    else:
        return None
    return fast_lane.SmallObjectLane(job, wire, patience=ends[0].patience, largest_window=largest_window)


def proving_lane(prover: Proves, source: Source, target: Source, *, largest_window: int) -> FastLane | None:
    """The lane for a verification by this prover; None where nothing is to be read from S3, or without libcurl."""
    ends = [store for store in (source, target) if isinstance(store, S3Source)]
    if not ends or (wire := ends[0].wire) is None or (last := ends[-1].wire) is None:
        return None
    from migrator.stores.s3.transfer import fast_lane, fast_lane_proofs  # noqa: PLC0415 - loads libcurl, which disks never need

    job: fast_lane.Job
    if isinstance(prover, AgainstManifest) and isinstance(target, S3Source):
        job = fast_lane_proofs.ReadAgainstManifest(target, wire)
    elif not isinstance(prover, Prover):
        return None
    elif prover.level is Level.CONTENT and _is_read(source) and _is_read(target):
        job = fast_lane_proofs.ReadBoth(source, target, (wire, last), prover.hashes)
    elif prover.level is Level.ETAG and isinstance(target, S3Source):
        job = fast_lane_proofs.LookAtTarget(target, last, prover)
    else:
        return None
    return fast_lane.SmallObjectLane(job, wire, patience=ends[0].patience, largest_window=largest_window)


def reading_lane(store: Source, is_right: Callable[[RawFile, bytes], bool], *, largest_window: int) -> FastLane | None:
    """The lane that reads small raw files of one end and asks whether they are right; None for a disk, or without libcurl."""
    if not isinstance(store, S3Source) or store.wire is None:
        return None
    from migrator.stores.s3.transfer import fast_lane, fast_lane_proofs  # noqa: PLC0415 - as above

    job = fast_lane_proofs.ReadRight(store, store.wire, is_right)
    return fast_lane.SmallObjectLane(job, store.wire, patience=store.patience, largest_window=largest_window)


def looking_lane(store: S3Source, *, largest_window: int) -> FastLane | None:
    """The lane that looks whether objects are still as they were read; None without libcurl."""
    if store.wire is None:
        return None
    from migrator.stores.s3.transfer import fast_lane, fast_lane_proofs  # noqa: PLC0415 - as above

    job = fast_lane_proofs.LookAgain(store, store.wire)
    return fast_lane.SmallObjectLane(job, store.wire, patience=store.patience, largest_window=largest_window)


def _is_read(store: Source) -> TypeGuard[DiskSource | S3Source]:
    return isinstance(store, (DiskSource, S3Source))
