"""The first look at an organization: how to cut it into shards, and whether a sample of the target is as the ledger says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import NamedTuple

from migrator.core.entities import FinishedFolder, Pair, Shard, shards_of
from migrator.core.errors import AccessDenied, MustStop
from migrator.core.notices import Denial, Notice, ignore_notice
from migrator.sync.compare import compare
from migrator.sync.messages import Closed, Event, ProgressEvent, Survey, Surveyed
from migrator.sync.shard.event_draft import SEND_AFTER_RESULTS
from migrator.sync.shard.folder_digests import holds, index_of, parted
from migrator.sync.shard.pass_settings import Pass

PARTED_FROM_FILES = 200
PARTED_FROM_BYTES = 1 << 30


def survey(whole: Pass, unit: Survey, overflow: Callable[[ProgressEvent], None] | None = None) -> Iterator[Event]:
    """Find out how to cut an organization into shards, and tell the strays that no shard would meet.

    `overflow` takes them while they are met: they may be more than all raw files.
    """
    organization = unit.organization
    empty, denied = _inspect_target(whole, organization)
    if denied is not None:
        yield Closed(organization, MustStop(denied.name, denied.reason), unit.number)
    length = whole.source.shard_length(organization)
    if whole.spread and not length and _is_worth_parting(whole, organization):
        length = 1
    surveyed = Surveyed(
        organization=organization, length=length, target_is_empty=empty, denied=denied, unit=unit.number
    )
    if unit.finished:
        surveyed = _with_sample(whole, unit, surveyed)
    yield surveyed
    if length:
        event = ProgressEvent(organization=organization, unit=unit.number)

        def note(notice: Notice) -> None:
            nonlocal event
            event.note(notice)
            if overflow is not None and len(event.problems) >= SEND_AFTER_RESULTS:
                overflow(event)
                event = ProgressEvent(organization=organization, unit=unit.number)

        for store in (whole.source, whole.target) if surveyed.lists_target and not empty else (whole.source,):
            store.scan_strays(organization, note, length=length)
        yield event


def _inspect_target(whole: Pass, organization: str) -> tuple[bool, Denial | None]:
    """Return whether nothing of it is at the target, and why nothing can be, where its bucket alone refuses.

    Raises:
        AccessDenied: If the bucket may not be listed and is the only one.
    """
    if organization in whole.refused or organization in whole.denied:
        return True, whole.denied.get(organization)
    try:
        return whole.target.is_empty(organization), None
    except AccessDenied as error:
        if not whole.parted:
            raise
        return True, Denial(error.name, str(error))


def _with_sample(whole: Pass, unit: Survey, surveyed: Surveyed) -> Surveyed:
    """A quick look at one shard, another one each time: is the target as the ledger says of the folders that are finished?

    Where the sample would be the whole organization, or the target has more there than the source, all of the target is listed.
    """
    if surveyed.target_is_empty:
        return replace(surveyed, ledger_holds=False)
    if unit.lists_target or whole.ages or not surveyed.length:
        return surveyed
    shards = list(shards_of(unit.organization, surveyed.length))
    found = _inspect_sample(whole, unit.finished, whole.pick(shards))
    return replace(
        surveyed, ledger_holds=found.holds, lists_target=not found.holds or found.has_extra, sample_of=len(shards)
    )


def _inspect_sample(whole: Pass, finished: Mapping[str, FinishedFolder], shard: Shard) -> _Sample:
    has_extra = False
    source, target = (store.scan(shard, ignore_notice) for store in (whole.source, whole.target))
    for prefix, group in groupby(compare(source, target), index_of):
        pairs = list(group)
        has_extra = has_extra or any(pair.source is None for pair in pairs)
        folder = finished.get(prefix)
        if folder is not None and not _target_holds(folder, pairs):
            return _Sample(holds=False, has_extra=has_extra)
    return _Sample(holds=True, has_extra=has_extra)


def _is_worth_parting(whole: Pass, organization: str) -> bool:
    """Whether the first raw files are many, or large: found with one page of a listing, or a few folders."""
    size = 0
    first = islice(whole.source.scan(Shard(organization), ignore_notice), PARTED_FROM_FILES)
    for number, entry in enumerate(first, 1):
        size += entry.size
        if number == PARTED_FROM_FILES or (number > 1 and size >= PARTED_FROM_BYTES):
            return True
    return False


class _Sample(NamedTuple):
    """What a quick look found: `holds` as the ledger says, `has_extra` raw files that the source does not have."""

    holds: bool
    has_extra: bool


def _target_holds(folder: FinishedFolder, pairs: Sequence[Pair]) -> bool:
    """False if the target lacks what this folder was finished with; True too where the source changed, which a pass finds."""
    parts = parted(folder, [pair.source for pair in pairs if pair.source is not None])
    if parts is None:
        return True
    return holds(folder, (pair.target for pair in pairs if pair.source and pair.source.changed_ns <= folder.newest_ns))
