"""Both ends of a shard listed and merged into pairs: the first of a pass's three generators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby

from migrator.config.time_filter import Ages
from migrator.core.entities import Entry, Pair, Shard
from migrator.core.notices import Notify
from migrator.sync.compare import compare
from migrator.sync.messages import Assignment
from migrator.sync.shard.folder_digests import index_of
from migrator.sync.shard.pass_settings import Pass

_LISTED_ONE_BY_ONE = 8


def list_both(whole: Pass, assignment: Assignment, notify: Notify) -> Iterator[Pair]:
    """Return the pairs of a shard, ascending; a target that is known to be empty is not listed.

    Of a sample, what only the target has is left out too: its source was left out by choice.
    """
    shard = assignment.shard
    source = whole.source.scan(shard, notify)
    if whole.ages:
        source = admitted(source, whole.ages)
    if whole.takes is not None:
        takes = whole.takes(shard.organization)
        source = (entry for entry in source if takes(entry.raw_id))
    if assignment.target_is_empty:
        return compare(source, ())
    pairs = compare(source, whole.target.scan(shard, notify))
    return pairs if whole.takes is None else (pair for pair in pairs if pair.source is not None)


def list_given(assignment: Assignment, entries: Iterable[Entry]) -> Iterator[Pair]:
    """Yield raw files that are new at the source, or were copied while they were young: then what we left at the target is known."""
    for entry in entries:
        own = assignment.provisional.get(entry.raw_id)
        left = Entry(entry.raw_id, own.size, own.version) if own is not None else None
        yield Pair(entry.raw_id, entry, left)


def list_changed_folders(
    whole: Pass, shard: Shard, notify: Notify, is_done: Callable[[str, Sequence[Entry]], bool]
) -> Iterator[Pair]:
    """Yield the pairs of those index folders that are not done: the source is listed whole, the target only for them.

    `is_done` is given a folder's name and its raw files at the source, one folder after the other, and counts them if it is.
    """
    opened: list[Entry] = []
    for prefix, group in groupby(whole.source.scan(shard, notify), index_of):
        entries = list(group)
        if not is_done(prefix, entries):
            opened += entries
    if opened:
        prefixes = list(dict.fromkeys(map(index_of, opened)))
        yield from compare(opened, _target_of(whole, shard, notify, prefixes))


def _target_of(whole: Pass, shard: Shard, notify: Notify, prefixes: Sequence[str]) -> Iterator[Entry]:
    """What the target has of these index folders: listed each for itself, or picked from the whole listing."""
    if len(prefixes) <= _LISTED_ONE_BY_ONE:
        shards = (Shard(shard.organization, prefix) for prefix in prefixes)
        return chain.from_iterable(whole.target.scan(one, notify) for one in shards)
    wanted = frozenset(prefixes)
    return (entry for entry in whole.target.scan(shard, notify) if index_of(entry) in wanted)


def admitted(entries: Iterable[Entry], ages: Ages) -> Iterator[Entry]:
    """Yield the entries whose modification time (`LastModified` on S3) is meant, and those without one: they may be meant."""
    return (entry for entry in entries if ages.admits(entry.modified_ns / 1e9) or entry.is_undated)
