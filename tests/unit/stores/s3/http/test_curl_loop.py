"""The loop that carries many requests at once ends each of them: with an answer, with an error, or when its time is over."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from migrator.stores.s3.http.curl import is_available
from tests.scripted import Reply, always, scripted

if not is_available():
    pytest.skip("there is no libcurl", allow_module_level=True)

import pycurl

from migrator.stores.s3.http.curl_loop import CurlLoop

ENDS_WITHIN = 20.0


@pytest.fixture
def loop() -> Iterator[CurlLoop]:
    with closing(CurlLoop(4)) as loop:
        yield loop


def asking(url: str) -> tuple[Any, io.BytesIO]:
    curl, body = pycurl.Curl(), io.BytesIO()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.WRITEFUNCTION, body.write)
    return curl, body


def ended(loop: CurlLoop, count: int) -> list[tuple[Any, bool]]:
    found: list[tuple[Any, bool]] = []
    until = time.monotonic() + ENDS_WITHIN
    while len(found) < count and time.monotonic() < until:
        for curl, answered in loop.wait(0.05):
            loop.remove(curl)
            found.append((curl, answered))
    return found


def test_each_of_many_requests_ends_with_its_answer_and_so_do_those_that_follow_on_the_same_connections(
    loop: CurlLoop,
) -> None:
    with scripted(lambda asked, _: Reply(200, asked.path.encode())) as server:
        asked = {path: asking(f"{server.url}/{path}") for path in "abcd"}
        for _ in range(2):
            for curl, body in asked.values():
                body.seek(0)
                body.truncate()
                loop.add(curl)
            assert all(answered for _, answered in ended(loop, len(asked)))
            assert {body.getvalue().decode() for _, body in asked.values()} == {f"/{path}" for path in asked}
        connections = [curl.getinfo(pycurl.NUM_CONNECTS) for curl, _ in asked.values()]
    assert connections == [0] * len(asked)


def test_a_server_that_is_silent_ends_by_the_time_limit_and_holds_up_nobody(loop: CurlLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, scripted(always(Reply(200))) as server:
        waits, _ = asking(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        waits.setopt(pycurl.TIMEOUT_MS, 300)
        quick, _ = asking(server.url)
        loop.add(waits)
        loop.add(quick)
        assert ended(loop, 2) == [(quick, True), (waits, False)]


def test_a_connection_that_is_refused_is_no_answer(loop: CurlLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    curl, _ = asking(f"http://127.0.0.1:{port}/")
    loop.add(curl)
    assert ended(loop, 1) == [(curl, False)]


def test_requests_in_flight_can_be_taken_back(loop: CurlLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, scripted(always(Reply(200))) as server:
        waits, _ = asking(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        loop.add(waits)
        loop.wait(0.01)
        loop.remove(waits)
        curl, _ = asking(server.url)
        loop.add(curl)
        assert ended(loop, 1) == [(curl, True)]
