"""Rows 59 to 63 of the fault matrix: rights that change while it runs. What is wrong from the beginning is in `test_bad_input`."""

from __future__ import annotations

import email.utils
import time
from pathlib import Path

import pytest

from tests.conftest import FreshNames
from tests.e2e import ends
from tests.faults import proxy as faults
from tests.faults.bench import bench, put
from tests.faults.proxy import RAW_FILE, Exchange, Rule, proxy_before
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

FOR_GOOD = frozenset(range(31, 100_000))


@pytest.mark.row(60)
@pytest.mark.parametrize(
    ("status", "code"), [(400, "ExpiredToken"), (403, "ExpiredToken"), (403, "InvalidAccessKeyId")]
)
def test_credentials_that_expire_end_the_run_with_one_message(
    status: int, code: str, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    with proxy_before(weed, Rule(faults.answer(faults.error(status, code)), path=RAW_FILE, nth=FOR_GOOD)) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        done = moved.up().expect(3)
        moved.after("up", done)
        error = done.json()["error"]
        assert error["name"] == "credentials-refused"
        assert "rerun" in error["cure"]
        assert done.stderr.count("expired") <= 3, "one message for each file"
        proxy.calm()
        document = moved.converges("up")
        assert ends.files(document)["present"] >= 30


@pytest.mark.row(61)
@pytest.mark.parametrize("hours", [1, -1], ids=["the server is ahead", "the server is behind"])
def test_clocks_that_differ_are_told_with_by_how_much(
    hours: int, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, few: Path
) -> None:
    def skewed(exchange: Exchange) -> None:
        reply = faults.error(403, "RequestTimeTooSkewed")
        exchange.reply(reply.with_header("Date", email.utils.formatdate(time.time() + hours * 3600, usegmt=True)))

    with proxy_before(weed, Rule(skewed)) as proxy:
        moved = bench(proxy, fresh_names, few, each_lane)
        done = moved.up().expect(3)
        error = done.json()["error"]
        assert error["name"] in ("clock-skew", "access-denied"), done
        assert done.seconds < 30


@pytest.mark.row(61)
def test_clocks_that_differ_only_meanwhile(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    def skewed(exchange: Exchange) -> None:
        reply = faults.error(403, "RequestTimeTooSkewed")
        exchange.reply(reply.with_header("Date", email.utils.formatdate(time.time() + 3600, usegmt=True)))

    with proxy_before(weed, put(skewed, nth=FOR_GOOD)) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        done = moved.up().expect(3)
        moved.after("up", done)
        error = done.json()["error"]
        assert error["name"] == "clock-skew"
        assert "by 36" in error["what"] or "by 35" in error["what"], "it does not say by how much"
        proxy.calm()
        moved.converges("up")


@pytest.mark.row(63)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_right_that_is_withdrawn_is_one_message_and_not_one_for_each_file(
    direction: str, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    method = "PUT" if direction == "up" else "GET"
    denied = Rule(faults.answer(faults.error(403, "AccessDenied")), method, RAW_FILE, nth=FOR_GOOD, name="denied")
    with proxy_before(weed, denied) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        if direction == "down":
            moved.fill()
        done = moved.run(direction).expect(3)
        moved.after(direction, done)
        error = done.json()["error"]
        assert error["name"] == "access-denied"
        assert "20 raw files in a row" in error["why"]
        proxy.calm()
        moved.converges(direction)
