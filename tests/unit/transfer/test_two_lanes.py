"""What the small-object lane carries counts for the file copier: a server that answers is there, and lets us."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, closing

import pytest

from migrator.core.entities import Entry
from migrator.core.errors import Unavailable
from migrator.core.outcomes import Action, Outcome, Step
from migrator.stores.lane_selection import bulk_lane_between
from migrator.stores.s3.http.curl import is_available
from migrator.stores.s3.source import S3Source
from migrator.transfer.batch_sink import BatchSink
from migrator.transfer.file_copier import FileCopier
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule, quick_patience
from tests.memory_store import MemoryStore
from tests.scripted import Reply, always, scripted

DATA = b"content"
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.mark.skipif(not is_available(), reason="there is no libcurl")
def test_a_success_of_the_small_object_lane_keeps_the_file_copier_trying() -> None:
    """`at_first` is 0: without any success, the first failures would end the run."""
    target = MemoryStore()
    fault = Unavailable("unreachable", "Gone.")
    failing = FailingStore(target, Schedule({("store", number): fault for number in range(2, 6)}))
    patience = quick_patience(seconds=60, at_first=0)
    with scripted(always(Reply(200, DATA, {"ETag": f'"{MD5}"'}))) as server, ExitStack() as stack:
        source = stack.enter_context(closing(S3Source(server.location(), patience)))
        lane = bulk_lane_between(source, failing, largest_window=1)
        sink = BatchSink(failing, FileCopier(source, failing, jobs=1, patience=patience), lane)
        stack.callback(sink.close)
        answers = []
        for number in (1, 2):
            sink.submit(number, "org", Step(Action.COPY, Entry(raw_id(f"{number:04x}"), len(DATA), MD5), None))
            while len(answers) < number:
                answers += sink.answers(flush=True)
    assert [(answer.result.outcome, answer.stop) for answer in answers] == [(Outcome.COPIED, None)] * 2
    assert len(target.contents()) == 2
