"""The bulk lane declines whatever does not go right, and loses nothing on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from migrator.core.entities import Entry, RawFile
from migrator.core.errors import MigratorError, MustStop, StoreError
from migrator.core.outcomes import Action, Outcome, Step
from migrator.core.protocols import SinkAnswer
from migrator.stores.lane_selection import bulk_lane_between
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.http.curl import is_available
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.target import S3Target
from migrator.transfer.file_copier import Stored
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule, quick_patience
from tests.memory_store import MemoryStore
from tests.scripted import Reply, Scripted, always, scripted

if not is_available():
    pytest.skip("there is no libcurl", allow_module_level=True)

from migrator.stores.s3.transfer.fast_lane import Carried, SmallObjectLane
from migrator.stores.s3.transfer.fast_lane_transfers import Download

DATA = b"content"
MD5 = hashlib.md5(DATA).hexdigest()
FILES = 3


def all_carried(lane: SmallObjectLane) -> Iterator[Carried]:
    while lane.under_way:
        yield from lane.carried(0.05)


@pytest.mark.parametrize("error", [StoreError("a", "b"), MustStop("over", "It is over.")])
def test_what_storing_ends_with_is_left_to_the_careful_lane_and_no_answer_is_lost(error: MigratorError) -> None:
    target = FailingStore(MemoryStore(), Schedule({("store", 2): error}))
    with scripted(always(Reply(200, DATA, {"ETag": f'"{MD5}"'}))) as server, ExitStack() as stack:
        source = stack.enter_context(closing(S3Source(server.location(), quick_patience())))
        assert source.wire is not None
        lane = stack.enter_context(
            closing(
                SmallObjectLane(
                    Download(source, target, source.wire),
                    source.wire,
                    patience=source.patience,
                    largest_window=FILES,
                )
            )
        )
        for number in range(FILES):
            entry = Entry(raw_id(f"{number:04x}"), len(DATA), MD5)
            assert lane.submit(number, "org", Step(Action.COPY, entry, None))
        carried = list(all_carried(lane))
    stored = [found.raw_file for found in carried if isinstance(found, Stored)]
    declined = [RawFile(found[1], found[2].source.raw_id) for found in carried if not isinstance(found, Stored)]
    assert (len(stored), len(declined)) == (FILES - 1, 1)
    assert len({*stored, *declined}) == FILES


def test_contents_pass_through_here_where_there_are_two_servers() -> None:
    answer = always(Reply(200, DATA, {"ETag": f'"{MD5}"'}))
    with scripted(answer) as here, scripted(always(Reply(200, b"", {"ETag": f'"{MD5}"'}))) as there:
        results = _copied_between(here, there)
        sent = [request for request in there.asked if request.method == "PUT"]
    answers = [found for found in results if isinstance(found, SinkAnswer)]
    assert [(found.result.outcome, found.result.version) for found in answers] == [(Outcome.COPIED, MD5)] * FILES
    assert len(sent) == FILES
    assert {(request.body, request.headers["if-none-match"]) for request in sent} == {(DATA, "*")}


def test_what_was_damaged_between_two_servers_is_not_sent_on() -> None:
    answer = always(Reply(200, DATA[::-1], {"ETag": f'"{MD5}"'}))
    with scripted(answer) as here, scripted(always(Reply(200, b"", {"ETag": f'"{MD5}"'}))) as there:
        results = _copied_between(here, there)
        assert not [request for request in there.asked if request.method == "PUT"]
    assert not any(isinstance(found, (Stored, SinkAnswer)) for found in results)
    assert len(results) == FILES


def _copied_between(here: Scripted, there: Scripted) -> list[Carried]:
    with ExitStack() as stack:
        source = stack.enter_context(closing(S3Source(here.location(), quick_patience())))
        target = S3Target(
            there.location(),
            quick_patience(),
            abilities=Capabilities(True, True, True, True),
            create_buckets=False,
            buckets_there=(there.location().naming.bucket_of("org"),),
        )
        stack.enter_context(closing(target))
        lane = bulk_lane_between(source, target, largest_window=FILES)
        assert isinstance(lane, SmallObjectLane)
        stack.enter_context(closing(lane))
        for number in range(FILES):
            entry = Entry(raw_id(f"{number:04x}"), len(DATA), MD5)
            assert lane.submit(number, "org", Step(Action.COPY, entry, None))
        return list(all_carried(lane))
