"""--newer-than and --older-than: only a part of the source, told as such."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE, PLAN
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

DAY = 86_400


def aged(root: Path, organization: str, name: str, days: float) -> None:
    path = corpus.add_raw_file(root, organization, name.encode(), name)
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))


IDS = tuple(f"{digits}-1111-4222-8333-444455556666" for digits in ("00000001", "00000002", "abc00003", "fff00004"))


def test_only_what_was_modified_in_that_time_is_moved(
    server: S3Server, naming: oracle.Naming, fresh_names: FreshNames, data: Path, state: Path
) -> None:
    for raw_id, days in zip(IDS, (100, 50, 50, 1), strict=True):
        aged(data, "alpha", raw_id, days)
    ends.put(server.client(), naming, "alpha", "eee00000-1111-4222-8333-444455556666", b"only here")
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    plan = command.run(*PLAN, "--to", "s3", "--newer-than", "90d", "--older-than", "2w", env=env).expect(0).json()
    oracle.assert_adds_up(plan)
    assert ends.files(plan) == {"discovered": 2, "missing": 2}
    assert "modification time" in ends.findings(plan)["age-filter"]["seen"]
    done = command.run(*MIGRATE, "--to", "s3", "--newer-than", "90d", env=env).expect(0).json()
    assert ends.files(done) == {"discovered": 3, "copied": 3}
    everything = command.run(*MIGRATE, "--to", "s3", env=env).expect(0).json()
    assert ends.files(everything) == {"discovered": 4, "copied": 1, "present": 3, "extra": 1}
    none = command.run(*PLAN, "--from", "s3", "--to", "disk", "--older-than", "1d", env=env).expect(0).json()
    assert ends.files(none) == {}, "on S3 all of it was written today"
    assert "date of the move" in ends.findings(none)["age-filter"]["why"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--newer-than", "soon"), "age-unreadable"),
        (("--older-than", "2026-02-31"), "age-unreadable"),
        (("--newer-than", "1d", "--older-than", "2d"), "ages-empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], name: str, data: Path, tmp_path: Path) -> None:
    corpus.add_raw_file(data, "alpha")
    done = command.run(*PLAN, "--from", f"{data}/", "--to", f"{tmp_path}/there", *words).expect(2)
    assert done.json()["error"]["name"] == name
