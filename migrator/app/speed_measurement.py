"""Measures what can be measured without writing, for the estimate of a dry run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from migrator.app.first_check_result import Prepared
from migrator.config.locations import DiskLocation, Location, Locations, S3Location
from migrator.core.entities import RawFile, Shard
from migrator.core.errors import MigratorError
from migrator.core.notices import ignore_notice
from migrator.core.outcomes import Outcome
from migrator.core.protocols import Source
from migrator.core.tally import Count
from migrator.ledger.directory import StateFolder
from migrator.ledger.ledger import Ledger
from migrator.ledger.record_codec import RunRow
from migrator.reports.estimate import (
    PROBED_AT_ONCE,
    START_SECONDS,
    EarlierPace,
    Estimate,
    Measured,
    Space,
    Work,
    estimate_of,
    typical_seconds,
)
from migrator.sync.totals import Totals

_REQUESTS_TIMED = 5
_REQUESTS_AT_ONCE = 24
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_FILES_READ = 20
_BYTES_READ = 8 << 20
_READ_SECONDS = 1.0
_FILES_THAT_TELL, _BYTES_THAT_TELL = 200, 50_000_000
_RUNS_THAT_TELL = 5
_LEDGERS_LOOKED_AT = 5


def estimated(
    prepared: Prepared, totals: Totals, source: Source, target: Source, runs: Sequence[RunRow], state: StateFolder
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
    remote = target if to_s3 else source if from_s3 else None
    if work.total.files:
        measured = Measured(
            latency=_latency(remote, movable) if remote is not None else None,
            requests_per_second=_requests_per_second(remote, movable) if remote is not None else None,
            busy=busy(),
            is_near=is_near(prepared.locations),
            read_bytes_per_second=_read_rate(source, movable[0]) if from_s3 else None,
            earlier=earlier_pace(runs, lambda: runs_alike(state, prepared.locations)),
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


def _requests_per_second(store: Source, organizations: Sequence[str]) -> float | None:
    """How many small listings a second the server answers with some at once; None where it refuses one."""

    def ask(number: int) -> None:
        store.is_empty(organizations[number % len(organizations)])

    with ThreadPoolExecutor(PROBED_AT_ONCE) as threads, suppress(MigratorError):
        list(threads.map(ask, range(PROBED_AT_ONCE)))  # opens the connections
        began = time.monotonic()
        list(threads.map(ask, range(_REQUESTS_AT_ONCE)))
        return _REQUESTS_AT_ONCE / max(1e-6, time.monotonic() - began)
    return None


def busy() -> float:
    """How many processes want each core, over the last minute; 0 where nobody tells."""
    with suppress(OSError, AttributeError):
        return os.getloadavg()[0] / (len(os.sched_getaffinity(0)) or 1)
    return 0.0


def is_near(locations: Locations) -> bool:
    """Whether every server of these locations is on this machine."""
    ends = (locations.source, locations.target)
    return all(
        isinstance(end, DiskLocation) or (urlsplit(end.access.endpoint_url or "").hostname in _THIS_MACHINE)
        for end in ends
    )


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


def earlier_pace(runs: Sequence[RunRow], alike: Callable[[], Iterable[RunRow]]) -> EarlierPace | None:
    """Return the pace of the last runs between these locations that copied enough to tell one, else of runs that are `alike`."""
    for found, words in ((runs, "between these locations"), (alike(), "with this kind of locations")):
        paces = list(islice(filter(None, map(_pace, found)), _RUNS_THAT_TELL))
        if paces:
            which = f"run {paces[0][1]}" if len(paces) == 1 else f"the last {len(paces)} runs"
            return EarlierPace(statistics.median(pace for pace, _ in paces), f"{which} {words}")
    return None


def runs_alike(state: StateFolder, locations: Locations) -> Iterator[RunRow]:
    """Runs of other ledgers between the same kinds of place: a disk, or the same S3 server. A ledger that cannot be read tells nothing."""
    kinds = tuple(map(_kind, (str(locations.source), str(locations.target))))
    for path in _newest(state):
        found: list[RunRow] = []
        with suppress(MigratorError):
            ledger = Ledger.open_to_read(path)
            if ledger is not None:
                with ledger:
                    found = ledger.runs(_RUNS_THAT_TELL)
        yield from (run for run in found if (_kind(run.source), _kind(run.target)) == kinds)


def _newest(state: StateFolder) -> list[Path]:
    """The ledgers that were written last; a copy is made of each one that is read."""
    with suppress(MigratorError, OSError):
        return sorted(state.ledgers(), key=lambda path: path.stat().st_mtime, reverse=True)[:_LEDGERS_LOOKED_AT]
    return []


def _kind(place: str) -> str:
    """'disk', or the S3 server of a location as it is shown."""
    return "disk" if place.endswith("(disk)") else place.partition(" at ")[2] or "AWS"


def _pace(run: RunRow) -> tuple[float, str] | None:
    """How many times as long as typical the run took, and its id; None where it copied too little to tell."""
    if run.command != "migrate" or not run.ended_at or run.ended_at <= run.started_at:
        return None
    copied, compared = Count(), 0
    for row in run.totals.values():
        copied.merge(Count(**row["copied"]) if "copied" in row else Count())
        compared += row.get("discovered", {}).get("files", 0)
    if copied.files < _FILES_THAT_TELL and copied.bytes < _BYTES_THAT_TELL:
        return None
    took = run.ended_at - run.started_at
    return max(took - START_SECONDS, 0.1 * took) / typical_seconds(copied, compared), run.run_id
