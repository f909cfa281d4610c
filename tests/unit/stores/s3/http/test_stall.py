"""A body that crawls is given up; a slow one is not."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.core.errors import Unavailable
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.http.stall import SlicedBody, Stalled, Watchdog, read_steadily, slice_body

pytestmark = pytest.mark.row(42)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 200_000)), max_size=200))
def test_it_barks_exactly_where_a_minute_brought_too_little(pieces: list[tuple[float, int]]) -> None:
    watchdog = Watchdog(least=1024, seconds=60)
    spent, count = 0.0, 0
    for seconds, size in pieces:
        spent += seconds
        count += size
        if spent >= 60 and count < 60 * 1024:
            with pytest.raises(Stalled):
                watchdog.passed(size, seconds)
            return
        watchdog.passed(size, seconds)
        if spent >= 60:
            spent, count = 0.0, 0


@given(st.binary(max_size=50_000))
def test_a_sliced_body_is_the_same_bytes_however_often_it_is_sent(data: bytes) -> None:
    body = SlicedBody(data)
    assert b"".join(body) == data
    body.seek(0)
    assert b"".join(body) == data
    assert len(body) == len(data)
    assert all(len(piece) <= 8192 for piece in body)


def test_sending_barks() -> None:
    clock = Clock()
    sent = iter(SlicedBody(bytes(100_000), clock))
    next(sent)
    clock.now = 61
    with pytest.raises(Stalled):
        next(sent)


class Request:
    def __init__(self, body: Any) -> None:
        self.body = body


@pytest.mark.parametrize("body", [None, b"", b"short", "text"])
def test_only_long_bodies_are_sliced(body: Any) -> None:
    request = Request(body)
    slice_body(request)
    assert request.body is body
    long = Request(bytes(100_000))
    slice_body(long)
    assert isinstance(long.body, SlicedBody)


@pytest.fixture
def trickle() -> Iterator[Any]:
    """A body of which ten bytes come in a second, through a socket, as urllib3 has it."""
    ours, theirs = socket.socketpair()
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.1):
            try:
                theirs.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()

    class Stream:
        def read1(self, size: int) -> bytes:
            return ours.recv(size)

    class Body:
        _raw_stream = Stream()

    yield Body()
    ended.set()
    thread.join()
    ours.close()
    theirs.close()


def read_to_the_end(body: Any, watchdog: Watchdog) -> None:
    while read_steadily(body, 1 << 20, watchdog):
        pass


def test_reading_barks_although_something_comes_all_the_time(trickle: Any) -> None:
    watchdog = Watchdog(least=1024, seconds=0.5)
    began = time.monotonic()
    with pytest.raises(Stalled) as barked:
        read_to_the_end(trickle, watchdog)
    assert time.monotonic() - began < 30
    assert isinstance(translate(barked.value, "s3://bucket/key"), Unavailable), "it is not tried again"


def test_a_body_without_partial_reads_is_read_in_small_pieces() -> None:
    assert read_steadily(io.BytesIO(b"x" * 5000), 1 << 20, Watchdog()) == b"x" * 1024
