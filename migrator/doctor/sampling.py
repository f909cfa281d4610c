"""A sample of what is at an end, in bounded time: the first raw files of each organization, from which the rest is extrapolated."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from migrator.core.entities import Shard
from migrator.core.errors import MigratorError
from migrator.core.outcomes import Notice, NoticeKind
from migrator.core.protocols import Source
from migrator.core.tally import Count
from migrator.doctor.disk_checks import Need
from migrator.doctor.source import SourceSample

LOOKED_AT = 1000
"""Raw files of an organization: a page of a listing."""
_BLOCK = 4096
_INDEX_FOLDERS = 4096
_SHOWN = 100


def sample_of(
    source: Source, organizations: Sequence[str], *, seconds: float, clock: Callable[[], float] = time.monotonic
) -> SourceSample:
    """Look at the organizations one after another until the time is up; those that were not come to get the others' mean.

    An error of one organization's listing is kept in the sample, and the others are looked at all the same.
    """
    sample = SourceSample()
    deadline = clock() + seconds
    for organization in organizations:
        if sample.counts and clock() > deadline:
            sample.exact = False
            break
        _draw_from(source, organization, sample)
    left = len(organizations) - len(sample.counts)
    if left and sample.counts:
        mean = Count(
            *(
                sum(getattr(count, part) for count in sample.counts.values()) // len(sample.counts)
                for part in ("files", "bytes")
            )
        )
        for organization in organizations:
            sample.counts.setdefault(organization, mean)
    return sample


def need_of(source: SourceSample, target: SourceSample) -> Need:
    """What a data folder will take, beyond what it has: bytes in whole blocks, and the index folders."""
    files = total = folders = 0
    for organization, count in source.counts.items():
        there = target.counts.get(organization, Count())
        more = max(0, count.files - there.files)
        files += more
        total += max(0, count.bytes - there.bytes) + more * _BLOCK // 2
        folders += 1 + min(_INDEX_FOLDERS, more) if more else 0
    return Need(files=files, bytes=total + folders * _BLOCK, folders=folders, exact=source.exact and target.exact)


def _draw_from(source: Source, organization: str, sample: SourceSample) -> None:
    count, last = Count(), ""
    is_cut = False

    def notify(notice: Notice) -> None:
        if notice.kind is NoticeKind.UNREADABLE_FOLDER and len(sample.unreadable) < _SHOWN:
            sample.unreadable.append(notice.where)

    try:
        for entry in source.scan(Shard(organization), notify):
            if count.files == LOOKED_AT:
                is_cut = True
                break
            count.add(entry.size)
            last = entry.raw_id
            sample.newest = max(sample.newest, entry.modified_ns / 1e9)
            if not entry.size and len(sample.empty) < _SHOWN:
                sample.empty.append(f"{organization}/{entry.raw_id}")
        newest = max((folder.fingerprint.modified_ns for folder in source.folders(Shard(organization))), default=0)
        sample.newest = max(sample.newest, newest / 1e9)
    except MigratorError as error:
        sample.exact = False
        sample.errors.append((organization, error))
    sample.inspected += count.files
    if is_cut:
        sample.exact = False
        share = (int(last[:4], 16) + 1) / 0x10000  # raw ids are random, so they are spread evenly
        count = Count(int(count.files / share), int(count.bytes / share))
    sample.counts[organization] = count
