"""Killed at any moment and started again: nothing is lost, nothing is done twice but what was under way."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import LARGE, MIGRATE
from tests.e2e.gate import Gate, gate_before
from tests.servers import S3Server

ORGANIZATIONS = {"alpha": 150, "alpha-2": 90, "b1": 45, "zaandam": 15}


@dataclass
class Job:
    """A migration that is broken off and begun again, looked at from outside."""

    words: tuple[Any, ...]
    env: dict[str, str]
    expected: dict[oracle.RawFileName, oracle.OnDisk]
    arrived: Callable[[], int]

    def resume(self) -> dict[str, Any]:
        """A run to the end: it copies nothing of what was there when it began."""
        before = self.arrived()
        document: dict[str, Any] = command.run(*MIGRATE, *self.words, env=self.env, timeout=600).expect(0).json()
        oracle.assert_adds_up(document)
        files = ends.files(document)
        assert files["discovered"] == len(self.expected)
        assert files.get("present", 0) >= before, "what had arrived was not taken for present"
        assert files.get("present", 0) + files.get("copied", 0) == len(self.expected)
        return document

    def assert_done(self) -> None:
        """One more run finds nothing to do."""
        said = command.run("migrate", "--yes", *self.words, env=self.env, timeout=600).expect(0).stdout
        assert f"Nothing to copy: all {len(self.expected):,} files" in said


def on_s3(server: S3Server, naming: oracle.Naming) -> Callable[[], int]:
    client = server.client()
    return lambda: len(oracle.s3_listing(client, naming))


def on_disk(root: Path) -> Callable[[], int]:
    return lambda: len(oracle.disk_paths(root))


def states(env: dict[str, str]) -> list[str]:
    """How the runs ended, the newest first."""
    document = command.run("status", "--json", "--runs", "100", env=env).expect(0).json()
    return [run["state"] for run in document["pairs"][0]["runs"]]


def assert_only_raw_files(root: Path) -> None:
    assert ends.everything_below(root) == ends.raw_file_paths(root), "temporary files were left"


def moments(seed: int, count: int, most: int) -> list[int]:
    """`count` ascending numbers of raw files or requests, at which to kill."""
    return sorted(random.Random(seed).sample(range(30, most), count))


@pytest.mark.row(1, 2)
@pytest.mark.parametrize("answers", [False, True], ids=["requests lost", "answers lost"])
def test_killed_three_times_on_the_way_to_s3(
    answers: bool, server: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    naming = ends.single(fresh_names) if answers else ends.per_organization(fresh_names)
    ends.make_varied_store(data, ORGANIZATIONS, large=1)
    expected = oracle.disk_state(data)
    settings = {**ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    with gate_before(server) as gate:
        env = {**gate.server.env(), **settings}
        job = Job(("--to", "s3"), env, expected, on_s3(server, naming))
        for moment in moments(seed=2 + answers, count=3, most=75):
            gate.hold_after(moment, "PUT", answers=answers)
            before = job.arrived()
            with command.start(*MIGRATE, *job.words, env=env) as process:
                assert process.wait_for(gate.is_holding), process.output_so_far()
                process.kill()
            gate.release(drop=True)
            assert before < job.arrived() < len(expected)
        job.resume()
        oracle.assert_same_contents(expected, oracle.s3_state(server.client(), naming))
        job.assert_done()
        assert states(env) == ["finished", "finished", "killed", "killed", "killed"]


@pytest.mark.row(1, 2)
def test_killed_three_times_on_the_way_to_disk(
    server: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    naming = ends.single(fresh_names)
    ends.make_varied_store(data, ORGANIZATIONS, large=1)
    expected, fresh = oracle.disk_state(data), tmp_path / "fresh"
    words = ("--from", data, "--to", ends.template(naming))
    command.run(*MIGRATE, *words, env=server.env()).expect(0)
    with gate_before(server) as gate:
        env = gate.server.env()
        job = Job(("--from", ends.template(naming), "--to", fresh), env, expected, on_disk(fresh))
        for moment in moments(seed=5, count=3, most=75):
            gate.hold_after(moment, "GET")
            with command.start(*MIGRATE, *job.words, env=env) as process:
                assert process.wait_for(gate.is_holding), process.output_so_far()
                process.kill()
            gate.release(drop=True)
            assert job.arrived() < len(expected)
        job.resume()
    oracle.assert_same(expected, oracle.disk_state(fresh))
    assert_only_raw_files(fresh)
    job.env = server.env()
    there = command.run(*MIGRATE, *job.words, env=job.env).expect(0).json()
    assert ends.files(there) == {"discovered": len(expected), "present": len(expected)}


@pytest.mark.row(1, 2)
def test_killed_while_a_large_file_is_under_way(
    server: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    """Neither half an object nor half a file is ever seen under a raw file's name."""
    naming, fresh = ends.single(fresh_names), tmp_path / "fresh"
    store = corpus.make_store(data, {"alpha": 2}, sizes="empty", large=[LARGE, LARGE])
    large = {(organization, raw_id) for organization, raw_id, _ in store.large}
    with gate_before(server) as gate:
        forth = ("--from", data, "--to", ends.template(naming))
        gate.hold_after(
            6, "PUT", answers=True
        )  # the probe takes some, two small files take two, then there are six parts
        with command.start(*MIGRATE, *forth, env=gate.server.env()) as process:
            assert process.wait_for(gate.is_holding), process.output_so_far()
            process.kill()
        gate.release(drop=True)
        seen = oracle.s3_listing(server.client(), naming)
        assert all(seen[name][0] == LARGE for name in large & seen.keys())
        command.run(*MIGRATE, *forth, env=gate.server.env()).expect(0)
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(server.client(), naming))
    back = ("--from", ends.template(naming), "--to", fresh)
    with command.start(*MIGRATE, *back, env=server.env()) as process:
        process.wait_for(lambda: any(size > corpus.MIB for size in _sizes_of_temporary_files(fresh)))
        process.kill()
    assert all(seen.size in (0, LARGE) for seen in oracle.disk_state(fresh).values())
    command.run(*MIGRATE, *back, env=server.env()).expect(0)
    oracle.assert_same(oracle.disk_state(data), oracle.disk_state(fresh))
    assert_only_raw_files(fresh)


def _sizes_of_temporary_files(root: Path) -> list[int]:
    return [size for name, size in ends.sizes_below(root).items() if Path(name).name.startswith(".")]


@pytest.mark.row(1, 2)
def test_killed_between_two_disks(data: Path, tmp_path: Path) -> None:
    ends.make_varied_store(data, ORGANIZATIONS)
    expected, fresh = oracle.disk_state(data), tmp_path / "fresh"
    job = Job(("--from", data, "--to", fresh), {}, expected, on_disk(fresh))
    for moment in moments(seed=7, count=3, most=270):
        with command.start(*MIGRATE, *job.words) as process:
            process.wait_for(lambda moment=moment: len(ends.everything_below(fresh)) >= moment)  # type: ignore[misc]
            process.kill()
    job.resume()
    oracle.assert_same(expected, oracle.disk_state(fresh))
    assert_only_raw_files(fresh)
    job.assert_done()


STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.row(6)
@pytest.mark.parametrize("number", STOPS.keys(), ids=lambda number: number.name)
def test_a_signal_lets_what_is_under_way_end_and_says_how_to_go_on(
    number: signal.Signals, server: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    naming = ends.single(fresh_names) if number is signal.SIGINT else ends.per_organization(fresh_names)
    ends.make_varied_store(data, ORGANIZATIONS)
    expected = oracle.disk_state(data)
    settings = {**ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    with gate_before(server) as gate:
        env = {**gate.server.env(), **settings}
        gate.hold_after(100, "PUT")
        with command.start(*MIGRATE, "--to", "s3", "--jobs", "4", env=env) as process:
            assert process.wait_for(gate.is_holding), process.output_so_far()
            process.signal_group(number)
            assert process.wait_for(lambda: "Stopping" in process.output_so_far()[1])
            gate.release()
            done = process.finish().expect(STOPS[number])
        document = done.json()
        oracle.assert_adds_up(document)
        files = ends.files(document)
        job = Job(("--to", "s3"), env, expected, on_s3(server, naming))
        assert document["interrupted_by"] == number.name
        assert files["discovered"] <= len(expected)
        assert files["discovered"] == len(expected) or not document["counting_is_final"]
        assert files["copied"] == job.arrived(), "what was said to be copied, and what is there"
        assert 0 < files["pending"] < len(expected)
        assert "To resume: bytes-migrator migrate" in done.stderr
        job.resume()
    oracle.assert_same_contents(expected, oracle.s3_state(server.client(), naming))


@pytest.mark.row(6)
def test_a_signal_on_the_way_to_disk_leaves_no_temporary_file(
    weed: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    naming, fresh = ends.single(fresh_names), tmp_path / "fresh"
    ends.make_varied_store(data, {"alpha": 100, "b1": 50})
    command.run(*MIGRATE, "--from", data, "--to", ends.template(naming), env=weed.env()).expect(0)
    with gate_before(weed) as gate:
        gate.hold_after(60, "GET")
        words = ("--from", ends.template(naming), "--to", fresh)
        with command.start(*MIGRATE, *words, "--jobs", "4", env=gate.server.env()) as process:
            assert process.wait_for(gate.is_holding), process.output_so_far()
            process.signal(signal.SIGTERM)
            assert process.wait_for(lambda: "Stopping" in process.output_so_far()[1])
            gate.release()
            document = process.finish().expect(143).json()
        oracle.assert_adds_up(document)
        assert_only_raw_files(fresh)
        assert ends.files(document)["copied"] == len(oracle.disk_paths(fresh))
        command.run(*MIGRATE, *words, env=gate.server.env()).expect(0)
    oracle.assert_same(oracle.disk_state(data), oracle.disk_state(fresh))


@pytest.mark.row(6)
def test_a_second_signal_stops_at_once(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    ends.make_varied_store(data, {"alpha": 100})
    words = ("--from", data, "--to", ends.template(ends.single(fresh_names)))
    with gate_before(weed) as gate:
        gate.hold_after(20, "PUT")
        with command.start(*MIGRATE, *words, env=gate.server.env()) as process:
            assert process.wait_for(gate.is_holding), process.output_so_far()
            process.signal(signal.SIGINT)
            assert process.wait_for(lambda: "Stopping" in process.output_so_far()[1])
            process.signal(signal.SIGINT)
            done = process.finish(timeout=5)  # the gate is still closed: nothing under way can end
        assert done.status == 130, done
        gate.release()
        document = command.run(*MIGRATE, *words, env=gate.server.env()).expect(0).json()
        assert ends.files(document)["discovered"] == 100


# --- the measure -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_ten_times_in_a_run_of_twenty_thousand_to_s3(
    server: S3Server, naming: oracle.Naming, data: Path
) -> None:
    corpus.make_store(data, total=20_000, large=[LARGE])
    expected = oracle.disk_state(data)
    with gate_before(server) as gate:
        env = {**gate.server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
        job = Job(("--to", "s3"), env, expected, on_s3(server, naming))
        kill_ten_times(job, gate, "PUT")
        job.resume()
        oracle.assert_same_contents(expected, oracle.s3_state(server.client(), naming))
        job.assert_done()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_ten_times_in_a_run_of_twenty_thousand_to_disk(
    weed: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    naming, fresh = ends.single(fresh_names), tmp_path / "fresh"
    corpus.make_store(data, total=20_000, large=[LARGE])
    expected = oracle.disk_state(data)
    command.run(*MIGRATE, "--from", data, "--to", ends.template(naming), env=weed.env(), timeout=600).expect(0)
    with gate_before(weed) as gate:
        job = Job(("--from", ends.template(naming), "--to", fresh), gate.server.env(), expected, on_disk(fresh))
        kill_ten_times(job, gate, "GET")
        job.resume()
        oracle.assert_same(expected, oracle.disk_state(fresh))
        assert_only_raw_files(fresh)
        job.assert_done()


def kill_ten_times(job: Job, gate: Gate, verb: str) -> None:
    """While all goes on, at random numbers of requests; a tenth of the raw files at most lies between two of them."""
    generator = random.Random(11)
    for _ in range(10):
        before = job.arrived()
        gate.hold_after(generator.randint(1, 1500), verb, only_tell=True)
        with command.start(*MIGRATE, *job.words, env=job.env) as process:
            assert process.wait_for(gate.is_holding, timeout=600), process.output_so_far()
            process.kill()
        gate.release()
        assert job.arrived() >= before
    assert job.arrived() < len(job.expected)
