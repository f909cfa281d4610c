"""scripts/bench measures what it says: its null sink is a server that this program trusts, and its tables come out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.stores.s3.capabilities import Capabilities, probe
from tests import command, corpus
from tests.bench import table
from tests.bench.measure import Used, run
from tests.bench.native import Native
from tests.bench.servers import ACCESS_KEY, SECRET_KEY, Server, delayed, null_sink
from tests.bench.turns import Row, Sample, Section
from tests.e2e.ends import MIGRATE
from tests.servers import S3Server

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None, reason="the null sink is compiled when it is needed, and there is no cc"
)


@pytest.fixture
def store(tmp_path: Path) -> corpus.Store:
    return corpus.make_store(tmp_path / "store", total=300, large=[20 * corpus.MIB])


@pytest.fixture
def sink(programs: Native, store: corpus.Store) -> Iterator[Server]:
    with null_sink(programs, {"store": store.root}, verify=True) as server:
        yield server


def test_the_null_sink_has_every_ability(sink: Server) -> None:
    client = _as_tests_know_it(sink).client()
    client.create_bucket(Bucket="probed")
    assert probe(client, "probed", "x") == Capabilities(True, True, True, True)


def test_there_and_back(sink: Server, store: corpus.Store, tmp_path: Path, state: Path) -> None:
    env = _as_tests_know_it(sink).env()
    there = command.run(*MIGRATE, "--from", f"{store.root}/", "--to", "s3://there/{organization}", env=env)
    assert there.status == 0, there
    assert json.loads(there.stdout)["totals"]["copied"]["files"] == store.files
    back = command.run(*MIGRATE, "--from", "s3://store-flat/{organization}", "--to", f"{tmp_path / 'back'}/", env=env)
    assert back.status == 0, back
    assert _contents(tmp_path / "back") == _contents(store.root)
    assert sink.sink is not None
    assert sink.sink.counts()["put"] >= store.files


def test_a_listing_through_the_delay_is_complete(programs: Native, sink: Server, store: corpus.Store) -> None:
    with delayed(programs, sink, 4.0) as far:
        client = _as_tests_know_it(far).client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="store-tree", PaginationConfig={"PageSize": 7})
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    assert keys == sorted(str(path) for path in _contents(store.root))


def test_a_command_is_measured_with_its_children(programs: Native, tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); sys.exit(7)"
    used = run(programs.run, [sys.executable, "-c", code], dict(os.environ), tmp_path)
    assert used.status == 7
    assert used.cpu >= 0.3
    assert used.wall >= 0.3
    assert used.peak > 1_000_000


def test_a_table_has_goals_and_ratios() -> None:
    section = Section(
        "upload", "Upload", "Some files.", [_row("bytes-migrator", 1.0), _row("s5cmd --numworkers 9", 3.0)]
    )
    text = table.document([section], versions=["s5cmd 1"], rounds=3, seconds=60)
    assert "2 of 2 goals are met." in text
    assert "| Upload | 100 | 33 |  |  |  | 3.00 |" in text
    written = table.insert("# By hand\n", text)
    assert table.insert(written, text) == written
    assert written.startswith("# By hand\n")


@pytest.mark.slow
def test_the_script_says_what_it_can_do() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--only", "nonsense"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert "not one of upload, download" in said.stderr


def _row(label: str, wall: float) -> Row:
    return Row(label, [Sample(Used(0, wall, wall, 1_000_000, "", ""), 100, 1000, 100)] * 3)


def _as_tests_know_it(server: Server) -> S3Server:
    return S3Server("sink", server.url, ACCESS_KEY, SECRET_KEY)


def _contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
