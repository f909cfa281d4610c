"""What a migration would cost, said beforehand: requests, time as a range, and what is left of the target's space. Pure.

Nothing is written to find out, so how fast the target takes bytes is not known unless an earlier run was measured. The range says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrator.core.size_thresholds import SMALLEST_PART
from migrator.core.tally import Count, Shape

SMALL_FILES_PER_SECOND = {False: 3_000, True: 6_000}
"""By whether a server keeps up, what two idle cores carry: 2,300 to SeaweedFS on them, 9,400 to a sink 20 ms away (docs/performance.md)."""
BYTES_PER_SECOND = {True: 200e6, False: 30e6}
"""By whether the other end is on this machine: SeaweedFS there, up and down, and the middle of lines of 100 Mbit/s and 1 Gbit/s."""
PROBED_AT_ONCE = 8
"""So many requests at once are timed. A server that answers them `KEEPS_UP` times as fast as one after the other has room for more."""
KEEPS_UP = 3.0
MORE_AT_ONCE = {True: 12.0, False: 2.0}
"""By whether it keeps up: how much faster than those requests a run gets, with more in flight and without boto3's own CPU."""
READS_AT_ONCE = 4.0
"""A run reads several raw files at once, where the rate was measured on one after the other."""
AROUND, AROUND_AN_UNKNOWN_LINE = 2.0, 3.0
"""How many times as short, or as long, a first run may well be."""
TYPICAL_FILES, TYPICAL_BYTES, TYPICAL_COMPARED = 1_000, 30e6, 20_000
"""A second's copied files, copied bytes and compared files, between slow and fast: what the pace of earlier runs is measured by."""
START_SECONDS = 0.5
"""What a run takes before and after it copies: looks, workers, the ledger."""
FIRST_START_SECONDS = 0.8
"""The same for the first run between two locations, which probes the server."""
AROUND_EARLIER_RUNS = (0.6, 1.6)
PARTS_FROM_DIGITS = 25
"""Sizes with so many binary digits are over 16 MiB and go in parts of 8 MiB."""
KEYS_IN_A_PAGE = 1_000
INDEX_FOLDERS = 16**3


@dataclass(frozen=True, slots=True)
class EarlierPace:
    """How many times as long as typical earlier runs took. `runs` says in words which they were."""

    times_typical: float
    runs: str


@dataclass(frozen=True, slots=True)
class Space:
    """What a file system has left. Inodes are None where they are made as needed (Btrfs, XFS does tell some)."""

    bytes: int
    inodes: int | None
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured while looking. Times in seconds; None for what could not be.

    `requests_per_second` with `PROBED_AT_ONCE` in flight; `busy` is how many processes want each core of this machine; `is_near`: the
    target, or the source on S3, is on this machine.
    """

    latency: float | None = None
    requests_per_second: float | None = None
    read_bytes_per_second: float | None = None
    busy: float = 0.0
    is_near: bool = False
    earlier: EarlierPace | None = None
    space: Space | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """`requests` by kind; `seconds` from fast to slow; space None where the target is not a disk."""

    requests: Mapping[str, int]
    seconds: tuple[float, float]
    rests_on: tuple[str, ...]
    free_bytes: int | None = None
    free_bytes_after: int | None = None
    free_inodes: int | None = None
    free_inodes_after: int | None = None

    @property
    def is_short_of(self) -> str:
        """'space', 'inodes' or nothing."""
        if self.free_bytes_after is not None and self.free_bytes_after < 0:
            return "space"
        return "inodes" if self.free_inodes_after is not None and self.free_inodes_after < 0 else ""

    def as_dict(self) -> dict[str, object]:
        """Return the estimate as it stands in JSON reports: requests by kind, seconds, and room in bytes and inodes."""
        return {
            "requests": {**self.requests, "total": sum(self.requests.values())},
            "seconds": {"fast": round(self.seconds[0], 3), "slow": round(self.seconds[1], 3)},
            "rests_on": list(self.rests_on),
            "free_bytes": self.free_bytes,
            "free_bytes_after": self.free_bytes_after,
            "free_inodes": self.free_inodes,
            "free_inodes_after": self.free_inodes_after,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done. `missing` for each organization; S3 ends cost requests, a disk does not."""

    missing: Mapping[str, Count]
    discovered: int
    shape: Shape = field(default_factory=Shape)
    buckets_to_create: int = 0
    from_s3: bool = False
    to_s3: bool = False

    @property
    def total(self) -> Count:
        """Return files and bytes that are missing, of all size classes."""
        return Count.sum(self.missing.values())


def estimate_of(work: Work, measured: Measured) -> Estimate:
    """What the work would cost, by what was measured."""
    requests = _requests(work)
    fast, slow, rests_on = _seconds(work, sum(requests.values()), measured)
    space = measured.space
    free_bytes = free_inodes = None
    if space is not None:
        free_bytes = space.bytes - _on_disk(work, space.block)
        free_inodes = space.inodes - _inodes(work) if space.inodes is not None else None
    return Estimate(
        requests=requests,
        seconds=(fast, slow),
        rests_on=rests_on,
        free_bytes=space.bytes if space else None,
        free_bytes_after=free_bytes,
        free_inodes=space.inodes if space else None,
        free_inodes_after=free_inodes,
    )


def _requests(work: Work) -> dict[str, int]:
    pages = work.discovered // KEYS_IN_A_PAGE + len(work.missing)
    large, parts = _in_parts(work.shape)
    small = max(0, work.total.files - large)
    found = {"list": pages * (work.from_s3 + work.to_s3)}
    if work.to_s3:
        found |= {"create_bucket": work.buckets_to_create, "put": small, "multipart": 2 * large, "part": parts}
    if work.from_s3:
        found["get"] = small + parts
    return found


def _in_parts(shape: Shape) -> tuple[int, int]:
    """How many raw files go in parts, and in about how many: a file of n binary digits is taken to be 3/4 of what n digits can say."""
    large = {digits: count for digits, count in shape.moved.items() if digits >= PARTS_FROM_DIGITS}
    parts = sum(count * max(3, (3 << digits) // 4 // SMALLEST_PART) for digits, count in large.items())
    return sum(large.values()), parts


def _seconds(work: Work, requests: int, measured: Measured) -> tuple[float, float, tuple[str, ...]]:
    total = work.total
    if not total.files:
        return 0.0, 0.0, ("nothing has to be copied",)
    if measured.earlier is not None:
        pace, start = measured.earlier, START_SECONDS
        seconds = pace.times_typical * typical_seconds(total, work.discovered)
        low, high = AROUND_EARLIER_RUNS
        return (start + seconds) * low, (start + seconds) * high, (f"the pace of {pace.runs}",)
    seconds, spread, assumed = _by_measures(total, requests, measured)
    return seconds / spread, seconds * spread, assumed


def typical_seconds(copied: Count, compared_files: int) -> float:
    """Return how long copying and comparing so much typically takes, without a run's start.

    Files and bytes count both: an earlier run of many small files then says little wrong of one large file, and the other way round.
    """
    return copied.files / TYPICAL_FILES + copied.bytes / TYPICAL_BYTES + compared_files / TYPICAL_COMPARED


def _by_measures(total: Count, requests: int, measured: Measured) -> tuple[float, float, tuple[str, ...]]:
    """The seconds of a first run, how many times as short or long it may be, and what that assumes."""
    slowed = 1 + measured.busy / 2  # half of those wait for a disk, or for each other
    files, assumed = _files_per_second(requests / max(1, total.files), measured, slowed)
    bytes_ = BYTES_PER_SECOND[measured.is_near] / slowed
    read = measured.read_bytes_per_second
    if read is not None and READS_AT_ONCE * read < bytes_:
        bytes_ = READS_AT_ONCE * read
        assumed.append(f"a reading rate at the source of {read / 1e6:,.1f} MB a second, measured on a few raw files")
    by_files, by_bytes = total.files / files, total.bytes / bytes_
    is_unknown = by_bytes > by_files and not measured.is_near and read is None
    how = "what the target takes was not measured" if is_unknown else "as is usual for such a target"
    assumed.append(f"about {bytes_ / 1e6:,.0f} MB a second: {how}")
    if measured.busy >= 0.5:
        assumed.append(f"a machine as busy as now: {measured.busy:,.1f} processes for each core")
    seconds = FIRST_START_SECONDS * slowed + by_files + by_bytes
    return seconds, AROUND_AN_UNKNOWN_LINE if is_unknown else AROUND, tuple(assumed)


def _files_per_second(requests_each: float, measured: Measured, slowed: float) -> tuple[float, list[str]]:
    """How many small files a second go, and what that assumes."""
    latency, probed = measured.latency, measured.requests_per_second
    reasons = []
    keeps_up = latency is not None and probed is not None and probed * latency >= KEEPS_UP
    files = SMALL_FILES_PER_SECOND[keeps_up] / slowed
    if latency is not None and probed is not None and requests_each:
        files = min(files, probed * MORE_AT_ONCE[keeps_up] / requests_each)
        reasons = [
            f"a measured latency of {latency * 1000:,.1f} ms, and {probed:,.0f} requests a second with {PROBED_AT_ONCE} at once"
        ]
    return files, [f"about {files:,.0f} small files a second", *reasons]


def _on_disk(work: Work, block: int) -> int:
    """Bytes that the files take: their own, and on average half a block for each; and a block for each folder."""
    total = work.total
    return total.bytes + total.files * block // 2 + (_inodes(work) - total.files) * block


def _inodes(work: Work) -> int:
    """One for each file, and one for each folder that will be there: index folders fill up as random ids fall into them."""
    folders = sum(
        1 + round(INDEX_FOLDERS * (1 - (1 - 1 / INDEX_FOLDERS) ** count.files))
        for count in work.missing.values()
        if count.files
    )
    return work.total.files + folders
