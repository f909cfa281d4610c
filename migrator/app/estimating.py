"""Measures what can be measured without writing, for the estimate of a dry run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from migrator.app.options import Prepared
from migrator.config.settings import DiskLocation, Location, S3Location
from migrator.core.entities import RawFile, Shard
from migrator.core.errors import MigratorError
from migrator.core.outcomes import Outcome, ignore_notice
from migrator.core.protocols import Source
from migrator.ledger.records import RunRow
from migrator.reports.estimate import Estimate, Measured, Rates, Space, Work, estimate_of
from migrator.sync.coordinator import Totals

_REQUESTS_TIMED = 5
_FILES_READ = 20
_BYTES_READ = 8 << 20
_READ_SECONDS = 1.0
_FILES_THAT_TELL_A_RATE = 500


def estimated(
    prepared: Prepared, totals: Totals, source: Source, target: Source, runs: Sequence[RunRow]
) -> Estimate | None:
    """What the migration would cost; None where there is nobody to move. Asks a few requests more, and writes nothing."""
    movable = prepared.movable
    if not movable:
        return None
    from_s3 = isinstance(prepared.locations.source, S3Location)
    to_s3 = isinstance(prepared.locations.target, S3Location)
    work = Work(
        missing={name: totals.organizations[name][Outcome.MISSING] for name in movable if name in totals.organizations},
        discovered=totals.overall().discovered.files,
        shape=totals.shape,
        buckets_to_create=len(prepared.buckets_to_create),
        from_s3=from_s3,
        to_s3=to_s3,
    )
    measured = Measured(space=space_of(prepared.locations.target))
    if work.total.files:
        measured = Measured(
            latency=_latency(target if to_s3 else source, movable) if from_s3 or to_s3 else None,
            read_bytes_per_second=_read_rate(source, movable[0]) if from_s3 else None,
            earlier=earlier_rates(runs),
            space=measured.space,
        )
    return estimate_of(work, measured)


def space_of(location: Location) -> Space | None:
    """What is left where a data folder is or would be; None on S3, where nobody tells."""
    if not isinstance(location, DiskLocation):
        return None
    root = Path(os.path.realpath(location.root))
    for folder in (root, *root.parents):
        with suppress(OSError):
            found = os.statvfs(folder)
            return Space(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None, found.f_frsize)
    return None


def _latency(store: Source, organizations: Sequence[str]) -> float | None:
    """Seconds that a small listing takes, the median of a few."""
    times = []
    for number in range(_REQUESTS_TIMED):
        began = time.monotonic()
        with suppress(MigratorError):
            store.is_empty(organizations[number % len(organizations)])
            times.append(time.monotonic() - began)
    return statistics.median(times) if times else None


def _read_rate(source: Source, organization: str) -> float | None:
    """Bytes a second, one raw file after the other; only of S3: on a disk, reading would leave access times behind."""
    began, read = time.monotonic(), 0
    with suppress(MigratorError):
        for entry in islice(source.scan(Shard(organization), ignore_notice), _FILES_READ):
            began = began if read else time.monotonic()
            with source.open(RawFile(organization, entry.raw_id), entry) as content:
                while read < _BYTES_READ and (data := content.read(1 << 20)):
                    read += len(data)
            if read >= _BYTES_READ or time.monotonic() - began > _READ_SECONDS:
                break
    seconds = time.monotonic() - began
    return read / seconds if read and seconds > 0 else None


def earlier_rates(runs: Sequence[RunRow]) -> Rates | None:
    """The rate of the last run that copied enough to tell one."""
    for run in runs:
        copied = [row.get("copied", {}) for row in run.totals.values()]
        files = sum(count.get("files", 0) for count in copied)
        if (
            run.command == "migrate"
            and run.ended_at
            and run.ended_at > run.started_at
            and files >= _FILES_THAT_TELL_A_RATE
        ):
            seconds = run.ended_at - run.started_at
            return Rates(files / seconds, sum(count.get("bytes", 0) for count in copied) / seconds, run.run_id)
    return None
