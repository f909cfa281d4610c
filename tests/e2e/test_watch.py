"""`watch` through the installed command, while raw files come in, servers go away and operators say their word."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.gate import gate_before
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

WATCH = ("watch", "--yes", "--json")


class Scene:
    """A data folder and a bucket, and `watch` between them."""

    def __init__(self, server: S3Server, names: FreshNames, folder: Path) -> None:
        self.server, self.naming, self.data = server, ends.single(names), folder / "data"
        corpus.make_store(self.data, {"alpha": 60, "b1": 20}, sizes=500)

    def words(self, *more: str) -> tuple[Any, ...]:
        return (*WATCH, "--from", self.data, "--to", ends.template(self.naming), *more)

    def start(self, *more: str, server: S3Server | None = None) -> command.Process:
        return command.start(*self.words(*more), env=(server or self.server).env())

    def at_target(self) -> set[str]:
        client = self.server.client()
        if self.naming.bucket not in oracle.buckets(client):
            return set()
        return {key.rpartition("/")[2] for key in oracle.keys(client, self.naming.bucket)}

    def add(self, organization: str = "alpha") -> str:
        return corpus.add_raw_file(self.data, organization).name

    def assert_all_at_target(self) -> None:
        oracle.assert_same_contents(oracle.disk_state(self.data), oracle.s3_state(self.server.client(), self.naming))


@pytest.fixture
def scene(weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> Scene:
    return Scene(weed, fresh_names, tmp_path)


def test_it_ends_when_nothing_new_came(scene: Scene) -> None:
    with scene.start("--until-idle", "3s", "--settle", "1") as watch:
        watch.wait_for(lambda: len(scene.at_target()) == 80)
        fresh = scene.add()
        watch.wait_for(lambda: fresh in scene.at_target())
        told = watch.finish().expect(0).json()
    assert told["ended_by"] == "idle"
    assert told["totals"]["discovered"]["files"] == 81
    assert told["copied"]["files"] >= 81
    assert told["lag"]["files"] == 0
    assert told["lag"]["largest_seconds"] > 0
    oracle.assert_adds_up(told)
    scene.assert_all_at_target()


def test_another_organization_is_seen(scene: Scene) -> None:
    with scene.start("--until-idle", "4s", "--settle", "1") as watch:
        watch.wait_for(lambda: len(scene.at_target()) == 80)
        fresh = scene.add("zaandam")
        watch.wait_for(lambda: fresh in scene.at_target())
        told = watch.finish().expect(0).json()
    assert ends.row(told, "zaandam")["discovered"] == 1
    scene.assert_all_at_target()


def test_a_signal_ends_it_cleanly(scene: Scene) -> None:
    with scene.start() as watch:
        watch.wait_for(lambda: len(scene.at_target()) == 80)
        watch.signal(signal.SIGTERM)
        told = watch.finish().expect(143).json()
    assert told["ended_by"] == "SIGTERM"
    assert told["downtime_seconds"] is None


def test_a_limit_of_time_ends_it(scene: Scene) -> None:
    told = command.run(*scene.words("--max-duration", "3s"), env=scene.server.env()).expect(7).json()
    assert told["ended_by"] == "max-duration"
    scene.assert_all_at_target()


def test_it_survives_a_server_that_goes_away(scene: Scene) -> None:
    with gate_before(scene.server) as gate:
        port = urlsplit(gate.server.endpoint_url).port
        watch = scene.start("--until-idle", "6s", "--settle", "1", "--patience", "1", server=gate.server)
        watch.wait_for(lambda: len(scene.at_target()) == 80)
    assert port is not None
    fresh = scene.add()
    assert watch.wait_for(lambda: _away(watch)), watch.output_so_far()
    with gate_before(scene.server, port):
        watch.wait_for(lambda: fresh in scene.at_target())
        told = watch.finish().expect(0).json()
    assert told["server_away_seconds"] > 0
    assert told["ended_by"] == "idle"
    scene.assert_all_at_target()


def _away(watch: command.Process) -> bool:
    return "server-away" in watch.output_so_far()[1]


@contextmanager
def with_input(scene: Scene, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The command with a standard input that lines can be written to."""
    words = [str(word) for word in scene.words(*more)]
    process = subprocess.Popen(
        [*command.program(), *words],
        env=command._environment(scene.server.env()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until_it_asks(watch: subprocess.Popen[str]) -> str:
    """What it says until it asks for Enter."""
    assert watch.stderr is not None
    said = ""
    while "press Enter" not in said:
        line = watch.stderr.readline()
        assert line, said
        said += line
    return said


@pytest.mark.parametrize("how", ["line", "signal"])
def test_the_word_that_bytes_is_stopped_ends_it(how: str, scene: Scene) -> None:
    with with_input(scene, "--once-stopped", "--settle", "1") as watch:
        asked = until_it_asks(watch)
        assert len(scene.at_target()) == 80
        scene.add()
        if how == "signal":
            watch.send_signal(signal.SIGUSR1)
        out, err = watch.communicate("\n" if how == "line" else None, timeout=60)
    told = json.loads(out)
    assert watch.returncode == 0, err
    assert told["ended_by"] == "stopped"
    assert told["downtime_seconds"] > 0
    assert told["totals"]["discovered"]["files"] == 81
    assert told["proven"]["files"] <= 81
    assert not told["still_writes"]
    assert f"S3_BUCKET={scene.naming.bucket}" in told["settings_lines"]
    assert (asked + err).count("press Enter") == 1
    scene.assert_all_at_target()


def test_a_second_run_between_the_same_ends_is_refused(scene: Scene) -> None:
    with scene.start() as watch:
        watch.wait_for(lambda: len(scene.at_target()) == 80)
        words = ("--from", scene.data, "--to", ends.template(scene.naming))
        command.run(*ends.MIGRATE, *words, env=scene.server.env()).expect(4)
        assert watch.is_running()


def test_from_s3_every_pass_lists(scene: Scene, tmp_path: Path) -> None:
    command.run(
        *ends.MIGRATE, "--from", scene.data, "--to", ends.template(scene.naming), env=scene.server.env()
    ).expect(0)
    fresh = tmp_path / "fresh"
    words = (*WATCH, "--from", ends.template(scene.naming), "--to", fresh, "--until-idle", "3s")
    with command.start(*words, env=scene.server.env()) as watch:
        watch.wait_for(lambda: fresh.exists() and len(oracle.disk_paths(fresh)) == 80)
        raw_id = corpus.new_raw_id(random.Random(3))
        ends.put(scene.server.client(), scene.naming, "b1", raw_id, b"came later")
        watch.wait_for(lambda: ("b1", raw_id) in oracle.disk_paths(fresh))
        told = watch.finish().expect(0).json()
    assert told["ended_by"] == "idle"
    assert told["totals"]["discovered"]["files"] == 81
    assert told["settings_lines"] == []
