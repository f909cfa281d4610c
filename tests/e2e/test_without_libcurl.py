"""A machine that has no libcurl: everything works, more slowly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import command, oracle
from tests.e2e import ends
from tests.e2e.ends import MIGRATE
from tests.faults.proxy import proxy_before
from tests.faults.without_wire import without_pycurl
from tests.servers import S3Server


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    env = without_pycurl()
    tried = subprocess.run(
        [sys.executable, "-c", "import pycurl"], env={**os.environ, **env}, capture_output=True, check=False
    )
    assert b"ImportError" in tried.stderr, "pycurl can be imported all the same"
    return env


def test_there_and_back_by_boto3_alone(
    weed: S3Server, naming: oracle.Naming, without: dict[str, str], tmp_path: Path
) -> None:
    data, fresh = tmp_path / "data", tmp_path / "fresh"
    ends.make_varied_store(data, {"alpha": 60, "gemeente-a": 20}, large=1)
    expected = oracle.disk_state(data)
    with proxy_before(weed) as proxy:
        env = {**proxy.server.env(), **without}
        for origin, target in ((data, ends.template(naming)), (ends.template(naming), fresh)):
            words = ("--from", origin, "--to", target)
            document = command.run(*MIGRATE, *words, env=env).expect(0).json()
            oracle.assert_adds_up(document)
            assert ends.files(document) == {"discovered": 81, "copied": 81}
            again = command.run(*MIGRATE, *words, env=env).expect(0).json()
            assert ends.files(again) == {"discovered": 81, "present": 81}
        assert "pycurl" not in proxy.seen.agents
        assert proxy.seen.agents.total() > 160
    oracle.assert_same_contents(expected, oracle.s3_state(weed.client(), naming))
    oracle.assert_same(expected, oracle.disk_state(fresh))


def test_it_says_that_it_is_slower(
    moto: S3Server, naming: oracle.Naming, without: dict[str, str], tmp_path: Path
) -> None:
    ends.make_varied_store(tmp_path / "data", {"alpha": 3})
    words = ("migrate", "--yes", "--from", tmp_path / "data", "--to", ends.template(naming))
    said = command.run(*words, env={**moto.env(), **without}).expect(0)
    assert "libcurl" in said.stdout + said.stderr
    assert "slower" in said.stdout + said.stderr
