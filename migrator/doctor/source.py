"""A sample of what is at an end, in bounded time, and what it tells: does it look like Bytes' own, and is Bytes at work on it?

The first raw files of each organization are looked at, and the rest is extrapolated from them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from migrator.core.entities import Shard
from migrator.core.errors import MigratorError
from migrator.core.findings import Finding
from migrator.core.notices import LINKED_FOLDER, Notice, NoticeKind, Problem
from migrator.core.protocols import Source
from migrator.core.tally import Count
from migrator.doctor import finding_names
from migrator.doctor.disk_checks import Need
from migrator.doctor.finding_shorthands import failed, passed, some_of, warned

IN_USE_WITHIN = 60.0
"""Seconds since the last change within which Bytes is taken to be at work."""


@dataclass(slots=True, kw_only=True)
class SourceSample:
    """What was met of an end. `counts`: raw files and bytes of each organization, extrapolated where not `exact`.

    `newest` in seconds since the epoch, 0 for nothing; `empty` are raw files of 0 bytes. `errors`: organizations that could not be
    listed, and why.
    """

    counts: dict[str, Count] = field(default_factory=dict)
    exact: bool = True
    inspected: int = 0
    empty: list[str] = field(default_factory=list)
    newest: float = 0.0
    unreadable: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    errors: list[tuple[str, MigratorError]] = field(default_factory=list)


def source_findings(
    problems: Sequence[Problem], sample: SourceSample, *, is_disk: bool, now: float
) -> Iterator[Finding]:
    """`problems` are what lay beside the organizations."""
    files = sum(count.files for count in sample.counts.values())
    about = "" if sample.exact else "about "
    if not sample.errors:
        yield passed(
            finding_names.SOURCE,
            f"It looks like Bytes' own: {about}{files:,} raw files of {len(sample.counts)} organizations.",
        )
    yield from _beside(problems)
    hidden = [one for one in problems if one.kind == NoticeKind.UNREADABLE_FOLDER.value]
    yield from _links(sample.linked + [one.where for one in hidden if one.code == LINKED_FOLDER])
    unreadable = sample.unreadable + [one.where for one in hidden if one.code != LINKED_FOLDER]
    if unreadable:
        yield warned(
            finding_names.UNREADABLE_FOLDERS,
            f"Folders that cannot be read: {len(unreadable)} ({some_of(unreadable)}).",
            "Their raw files would be left behind.",
            "Run this as root or as Bytes' user.",
        )
    else:
        yield passed(finding_names.UNREADABLE_FOLDERS, "All folders that were looked at can be read.")
    if sample.empty:
        yield warned(
            finding_names.EMPTY_FILES,
            f"Empty raw files in a sample of {sample.inspected:,}: {len(sample.empty)} ({some_of(sample.empty)}).",
            _WHY_EMPTY,
            _CURE_EMPTY,
        )
    else:
        yield passed(finding_names.EMPTY_FILES, f"None of {sample.inspected:,} raw files that were looked at is empty.")
    age = now - sample.newest
    if sample.newest and age < IN_USE_WITHIN:
        yield warned(
            finding_names.SOURCE_IN_USE,
            f"The newest raw file is {max(0, age):.0f} s old: if Bytes has not just been stopped, it still writes.",
            "That is fine for now; later files need one more run.",
            "Stop Bytes before the last run.",
        )
    else:
        where = "Nothing that was looked at" if is_disk else "No object that was looked at"
        yield passed(finding_names.SOURCE_IN_USE, f"{where} changed within the last minute.")


def _links(linked: Sequence[str]) -> Iterator[Finding]:
    if linked:
        yield warned(
            finding_names.LINKED_FOLDERS,
            f"Symbolic links in the place of folders: {len(linked)} ({some_of(linked)}).",
            "Bytes follows them, bytes-migrator does not: their raw files would be left behind.",
            "Mount each folder in the place of its link: rm LINK; mkdir LINK; mount --bind FOLDER LINK.",
        )
    else:
        yield passed(finding_names.LINKED_FOLDERS, "No folder that was looked at is a symbolic link.")


def empty_files(count: int, of: int, *, all_of_them: bool) -> Iterator[Finding]:
    """Nothing for none; else the number of raw files of 0 bytes among `of`."""
    if count:
        where = f"{of:,}" if all_of_them else f"the {of:,} that this run looked at"
        yield warned(finding_names.EMPTY_FILES, f"Empty raw files: {count:,} of {where}.", _WHY_EMPTY, _CURE_EMPTY)


_WHY_EMPTY = "Bytes saves empty files too, but an interrupted write or a full disk also leaves empty files."
_CURE_EMPTY = (
    "They are copied as they are. `bytes-migrator audit --level content` finds those that should have content."
)


_AS_MIGRATE = "See to it first: migrate would meet the same."


def listing_errors(sample: SourceSample, where: str) -> Iterator[Finding]:
    """Yield an error finding for each kind of error that a listing at `where` met, under the name that `migrate` would end with."""
    kinds: dict[tuple[str, str, str], list[tuple[str, MigratorError]]] = {}
    for organization, error in sample.errors:
        kinds.setdefault((error.name, error.why, error.cure), []).append((organization, error))
    for (name, why, cure), met in kinds.items():
        organizations = some_of([organization for organization, _ in met])
        yield failed(
            name, f"The listing of {organizations} at {where} fails: {met[0][1].what}", why, cure or _AS_MIGRATE
        )


def _beside(problems: Sequence[Problem]) -> Iterator[Finding]:
    odd = [one.where for one in problems if one.kind == "stray" and one.reason.startswith("not an organization's code")]
    strays = [one.where for one in problems if one.kind == "stray" and one.where not in odd]
    if odd:
        yield warned(
            finding_names.ORGANIZATION_NAMES,
            f"There are folders with names that no organization can have ({len(odd)}): {some_of(odd)}.",
            "Bytes never reads there: organizations are lower-case slugs of at most 32 characters.",
            "If it has raw files, rename it to the organization's code.",
        )
    else:
        yield passed(finding_names.ORGANIZATION_NAMES, "All folders are named as organizations are.")
    if strays:
        yield warned(
            finding_names.STRAYS,
            f"Strays beside the organizations: {len(strays)} ({some_of(strays)}).",
            "They are left alone: Bytes never reads them.",
        )
    else:
        yield passed(finding_names.STRAYS, "Nothing else lies beside the organizations.")


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
        met = sample.linked if notice.code == LINKED_FOLDER else sample.unreadable
        if notice.kind is NoticeKind.UNREADABLE_FOLDER and len(met) < _SHOWN:
            met.append(notice.where)

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
