"""Limits through the installed command: on both lanes, in both directions. A limit is a least time: a slow machine cannot break it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE
from tests.e2e.gate import gate_before
from tests.faults.without_wire import without_pycurl
from tests.recorded import save, saved
from tests.servers import S3Server

KB = 1_000
_ROUNDING = 0.98


def migrate(*words: Any, server: S3Server, env: dict[str, str] | None = None, status: int = 0) -> Any:
    done = command.run(*MIGRATE, *words, env={**server.env(), **(env or {})}).expect(status)
    return done.json()


@pytest.mark.parametrize("lane", ["bulk", "careful", "parts"])
def test_bandwidth_holds_both_ways(lane: str, weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    """The last raw file need not wait for its own bytes, so what was moved less the largest one is what had to take its time."""
    data, fresh, bucket = tmp_path / "data", tmp_path / "fresh", ends.template(ends.single(fresh_names))
    is_large = lane == "parts"
    corpus.make_store(data, {"alpha": 1 if is_large else 200}, sizes=10 * KB, large=[ends.LARGE] if is_large else [])
    env = without_pycurl() if lane == "careful" else {}
    total, rate, largest = (ends.LARGE, 8_000, 8 << 20) if is_large else (200 * 10 * KB, 1_000, 10 * KB)
    for source, target in ((data, bucket), (bucket, fresh)):
        told = migrate("--from", source, "--to", target, "--bandwidth", f"{rate}kB/s", server=weed, env=env)
        assert told["totals"]["copied"]["bytes"] >= total
        assert told["seconds"] >= (total - largest) / (rate * KB) * _ROUNDING
    oracle.assert_same_contents(oracle.disk_state(data), oracle.disk_state(fresh))


@pytest.mark.parametrize("lane", ["bulk", "careful"])
def test_requests_are_counted_one_by_one(lane: str, weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    data, bucket = tmp_path / "data", ends.template(ends.single(fresh_names))
    corpus.make_store(data, {"alpha": 150}, sizes=100)
    env = without_pycurl() if lane == "careful" else {}
    with gate_before(weed) as gate:
        told = migrate("--from", data, "--to", bucket, "--max-requests", "100/s", server=gate.server, env=env)
        in_first_look = 10
        assert told["seconds"] >= (gate.requests - in_first_look) / 100 * _ROUNDING
    assert ends.files(told) == {"discovered": 150, "copied": 150}


def test_between_disks_what_is_written_counts(moto: S3Server, tmp_path: Path) -> None:
    corpus.make_store(tmp_path / "data", {"alpha": 100}, sizes=10 * KB)
    told = migrate("--from", tmp_path / "data", "--to", f"{tmp_path}/fresh", "--bandwidth", "500kB/s", server=moto)
    assert told["seconds"] >= 99 * 10 * KB / (500 * KB) * _ROUNDING


def test_a_run_that_ends_at_its_limit_goes_on_where_it_was(
    weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    data, naming = tmp_path / "data", ends.single(fresh_names)
    corpus.make_store(data, {"alpha": 300, "b1": 100}, sizes=10 * KB)
    words = ("--from", data, "--to", ends.template(naming))
    # at 100 kB a second all of it takes 40 s on any machine, and 5 s are enough for a slow one to begin
    told = migrate(*words, "--bandwidth", "100kB/s", "--max-duration", "5s", server=weed, status=7)
    counts = ends.files(told)
    assert told["interrupted_by"] == "max-duration"
    assert told["exit_status"] == 7
    assert counts["discovered"] == 400
    assert 0 < counts["pending"] < 400
    oracle.assert_adds_up(told)
    again = migrate(*words, server=weed)
    assert ends.files(again)["copied"] == counts["pending"]
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(weed.client(), naming))


def test_a_verification_keeps_its_limits_and_goes_on_where_it_was(
    weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    data, naming = tmp_path / "data", ends.single(fresh_names)
    corpus.make_store(data, {"alpha": 50, "b1": 30}, sizes=10 * KB)
    both = ("--from", data, "--to", ends.template(naming))
    migrate(*both, server=weed)
    content = ("verify", *both, "--level", "content", "--json", "--no-progress")
    began = time.monotonic()
    limited = command.run(*content, "--bandwidth", "400kB/s", env=weed.env()).expect(0).json()
    assert limited["totals"]["proven"]["files"] == 80
    assert time.monotonic() - began >= 79 * 10 * KB / (400 * KB), "from its start, since that may be made up for"
    broken_off = command.run(*content, "--bandwidth", "100kB/s", "--max-duration", "0.3s", env=weed.env())
    told = broken_off.expect(7).json()
    assert told["interrupted_by"] == "max-duration"
    assert told["totals"]["proven"]["files"] < 80


def test_an_audit_keeps_its_limits(weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    data, naming = tmp_path / "data", ends.single(fresh_names)
    files = saved({"alpha": 60})
    save(data, files)
    migrate("--from", data, "--to", ends.template(naming), server=weed)
    rows = tmp_path / "rows.csv"
    in_order = sorted((one.row for one in files), key=lambda row: row.raw_id)
    lines = [f"{row.raw_id},alpha,{row.secure_hash},{row.ended_at.isoformat()}" for row in in_order]
    rows.write_text("\n".join(["id,organization,secure_hash,ended_at", *lines, ""]))
    sizes = [len(one.content) for one in files]
    words = ("audit", "--to", ends.template(naming), "--level", "content", "--database", rows, "--json")
    began = time.monotonic()
    told = command.run(*words, "--bandwidth", "80kB/s", env=weed.env()).expect(0).json()
    assert ends.files(told) == {"rows": 60, "readable": 60}
    assert time.monotonic() - began >= (sum(sizes) - max(sizes)) / (80 * KB)


def test_a_limit_that_is_not_reached_changes_nothing(weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    data = tmp_path / "data"
    corpus.make_store(data, {"alpha": 20})
    target = ends.template(ends.single(fresh_names))
    limits = ("--max-duration", "1h", "--bandwidth", "00:00-24:00 1GB/s", "--max-requests", "100000/s")
    told = migrate("--from", data, "--to", target, *limits, server=weed)
    assert (told["interrupted_by"], told["exit_status"]) == (None, 0)


@pytest.mark.parametrize("name", ["verify", "prune"])
@pytest.mark.parametrize("limit", [("--bandwidth", "1MB/s"), ("--max-requests", "5/s")])
def test_commands_that_only_read_disks_refuse_limits_of_s3(name: str, limit: tuple[str, str], tmp_path: Path) -> None:
    for folder in ("data", "fresh"):
        corpus.make_store(tmp_path / folder, {"alpha": 2})
    words = ("--from", tmp_path / "data", "--to", tmp_path / "fresh", "--json", "--no-progress")
    told = command.run(name, *words, *limit).expect(2).json()
    assert told["error"]["name"] == "option-without-end"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--bandwidth", "fast"), "bandwidth"),
        (("--max-requests", "many"), "max-requests"),
        (("--max-duration", "soon"), "max-duration"),
        (("--max-requests", "5/s"), "option-without-end"),
    ],
)
def test_limits_that_cannot_be_meant(words: tuple[str, ...], name: str, moto: S3Server, tmp_path: Path) -> None:
    corpus.make_store(tmp_path / "data", {"alpha": 2})
    told = migrate("--from", tmp_path / "data", "--to", f"{tmp_path}/fresh", *words, server=moto, status=2)
    assert told["error"]["name"] == name
    assert not (tmp_path / "fresh").exists()
