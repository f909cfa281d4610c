"""Rows 1 to 9 of the fault matrix: killed in a system call, stopped, and begun again. More is in `test_kill` and in the laws."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import LARGE
from tests.faults import proxy as faults
from tests.faults.bench import ProxyBench, all_copied, bench, get, part, path_of, plain_bench
from tests.faults.proxy import Exchange, Proxy, proxy_before
from tests.servers import S3Server

Injected = Callable[..., tuple[str, ...]]

CALLS = {
    "up": ["fdatasync:1", "fdatasync:4", "fdatasync:9", "sendto:3", "sendto:12", "sendto:20", "pwrite64:30"],
    "down": ["fchmod:2", "fchmod:6", "renameat2:1", "renameat2:3", "syncfs:1", "syncfs:2", "ftruncate:2", "mkdirat:2",
             "fdatasync:5", "recvfrom:20"],
    "across": ["fchmod:3", "renameat2:1", "renameat2:2", "renameat2:6", "syncfs:1", "syncfs:2", "mkdirat:3", "unlinkat:1"],
}  # fmt: skip
OFTEN = ("up fdatasync:4", "up sendto:12", "down renameat2:3", "down ftruncate:2", "across syncfs:2", "across fchmod:3")
POINTS = [f"{direction} {call}" for direction, calls in CALLS.items() for call in calls]


@pytest.mark.row(1, 2)
@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=[] if point in OFTEN else [pytest.mark.slow]) for point in POINTS]
)
def test_killed_at_the_nth_system_call(
    point: str, each_lane: dict[str, str], few: Path, weed: S3Server, fresh_names: FreshNames, injected: Injected
) -> None:
    """Whichever process comes to it first; if none does, the run ends undisturbed, which is fine too."""
    direction, _, call = point.partition(" ")
    name, _, count = call.partition(":")
    corpus.make_store(few, {"zaandam": 0}, large=[LARGE])
    moved = plain_bench(weed, fresh_names, few, each_lane)
    if direction == "down":
        moved.fill()
    done = moved.run(direction, "--jobs", "2", injected=injected(f"{name}:signal=KILL:when={count}"))
    assert done.status in (0, 3, -9, 137), done
    oracle.assert_same(moved.expected, oracle.disk_state(few))
    if direction == "up":
        ends.make_bucket(moved.client, fresh_names.bucket)
        moved.assert_nothing_wrong_in_bucket()
    else:
        moved.assert_nothing_wrong_on_disk()
    moved.converges(direction)


@pytest.mark.row(7)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_stopped_and_continued_it_goes_on(
    direction: str, lane: dict[str, str], data: Path, weed: S3Server, fresh_names: FreshNames
) -> None:
    """As a laptop that is closed: every connection is gone when it wakes up."""
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, data, lane)
        if direction == "down":
            moved.fill()
        verb = "PUT" if direction == "up" else "GET"
        before = proxy.seen.requests[verb]
        with moved.start(direction) as process:
            assert process.wait_for(lambda: proxy.seen.requests[verb] > before + 30), process.output_so_far()
            process.signal_group(signal.SIGSTOP)
            _break_all(proxy)
            process.signal_group(signal.SIGCONT)
            all_copied(process.finish())
        moved.assert_all_in_bucket() if direction == "up" else moved.assert_all_on_disk()


def _break_all(proxy: Proxy) -> None:
    for one in list(proxy._open):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


# --- what a crash leaves behind --------------------------------------------------------------------------------------


def killed_in_the_middle(moved: ProxyBench, direction: str) -> None:
    """SIGKILL once the first part of a large raw file is there, with the others held."""
    first = threading.Event()

    def all_but_the_first(exchange: Exchange) -> None:
        if "partNumber=1" in exchange.target or exchange.header("range").startswith("bytes=0-"):
            exchange.reply(exchange.forward())
            first.set()
        else:
            faults.stall(exchange)

    moved.proxy.rules = [part(all_but_the_first) if direction == "up" else get(all_but_the_first)]

    def something_is_there() -> bool:
        if direction == "up":
            return first.is_set() and bool(moved.uploads())
        return any(ends.sizes_below(moved.fresh).values())

    with moved.start(direction) as process:
        assert process.wait_for(something_is_there), process.output_so_far()
        process.kill()
    moved.proxy.calm()


def test_a_poll_leaves_out_a_file_that_is_removed_after_it_was_listed(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"content")
    (tmp_path / "gone").symlink_to("nothing")  # listed, and not found by the look that follows
    assert ends.everything_below(tmp_path) == {"here", "gone"}
    assert ends.sizes_below(tmp_path) == {"here": 7}
    assert oracle.disk_paths(tmp_path / "gone") == {}


@pytest.mark.row(1, 51)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_leftovers_of_raw_files_that_vanished_are_given_up(
    direction: str, lane: dict[str, str], large: Path, weed: S3Server, fresh_names: FreshNames
) -> None:
    """An upload in the ledger, a partial file on disk: nobody will ever go on with them."""
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, large, lane)
        [name] = moved.expected
        if direction == "down":
            moved.fill()
        killed_in_the_middle(moved, direction)
        left = moved.uploads() if direction == "up" else list(ends.everything_below(moved.fresh))
        assert len(left) == 1, "the scenario left nothing to give up"
        corpus.add_raw_file(large, "alpha", b"another raw file")
        path_of(large, name).unlink()
        moved.expected = oracle.disk_state(large)
        if direction == "down":
            moved.client.delete_object(Bucket=fresh_names.bucket, Key=moved.key(name))
            moved.fill()
        moved.converges(direction)


@pytest.mark.row(51)
def test_uploads_of_unknown_origin_are_named_and_left(weed: S3Server, few: Path, fresh_names: FreshNames) -> None:
    """As one that was begun in the instant before a kill, or by another program under a raw file's name."""
    moved = plain_bench(weed, fresh_names, few, {})
    ends.make_bucket(moved.client, fresh_names.bucket)
    name = min(moved.expected)
    for key in (moved.key(name), "somebody/elses"):
        moved.client.create_multipart_upload(Bucket=fresh_names.bucket, Key=key)
    words = ("--from", few, "--to", moved.bucket)
    document = json.loads(command.run("uploads", *words, "--json", env=moved.whole_env).expect(0).stdout)
    assert document["uploads"] == []
    assert [each["where"] for each in document["unclaimed"]] == [f"s3://{fresh_names.bucket}/{moved.key(name)}"]
    said = command.run("uploads", *words, env=moved.whole_env).expect(0).stdout
    assert f"--upload-id {document['unclaimed'][0]['upload_id']}" in said
    command.run("uploads", "abort", "--yes", *words, env=moved.whole_env).expect(0)
    all_copied(moved.up(), 10)
    assert moved.uploads() == sorted([moved.key(name), "somebody/elses"])
