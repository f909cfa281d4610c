"""`prune --api`: the running Bytes is asked before the first deletion and after a hundred, and what it does not give ends the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator.checks.prune.coordinator import FIRST
from migrator.checks.prune.worker import ASKED
from migrator.cli.main import main
from tests import corpus, oracle
from tests.running_bytes import PASSWORD, RunningBytes, running_bytes

ALL = FIRST + 30


class Folder(dict[str, bytes]):
    """What a Bytes has that reads this data folder now."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, raw_id: object) -> Path:
        return self._root / "org" / str(raw_id)[:3] / str(raw_id)

    def __contains__(self, raw_id: object) -> bool:
        return self._path(raw_id).is_file()

    def __getitem__(self, raw_id: str) -> bytes:
        return self._path(raw_id).read_bytes()


@pytest.fixture
def ends(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("one", "other"):
        corpus.make_store(tmp_path / name, {"org": ALL}, seed=5, sizes=50)
    return tmp_path / "one", tmp_path / "other"


Prune = Callable[..., Any]


@pytest.fixture
def prune(ends: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Prune:
    """With settings that say that Bytes reads at the target, whatever is true."""

    def run(running: RunningBytes, *more: str) -> Any:
        state = str(ends[0].parent / "state")
        for name, value in {**running.env, "BYTES_DATA_DIR": str(ends[1]), "XDG_STATE_HOME": state}.items():
            monkeypatch.setenv(name, value)
        words = ["prune", "--json", "--from", str(ends[0]), "--to", str(ends[1]), "--api", running.url, *more]
        with pytest.raises(SystemExit):
            main(words)
        told = capsys.readouterr()
        assert PASSWORD not in told.out + told.err
        return json.loads(told.out)

    return run


def test_a_bytes_that_reads_the_source_after_all_stops_it_after_the_first_hundred(
    ends: tuple[Path, Path], prune: Prune
) -> None:
    with running_bytes(contents=Folder(ends[0])) as running:
        told = prune(running, "--confirm", str(ALL))
    assert told["error"]["name"] == "bytes-misses-deleted-files"
    assert told["exit_status"] == 3
    assert told["totals"]["deleted"]["files"] == FIRST
    assert len(oracle.disk_paths(ends[0])) == ALL - FIRST
    assert "deleted" in told["error"]["what"]


def test_a_bytes_that_reads_the_target_is_asked_twice(ends: tuple[Path, Path], prune: Prune) -> None:
    with running_bytes(contents=Folder(ends[1])) as running:
        told = prune(running, "--confirm", str(ALL))
    assert told["exit_status"] == 0
    assert told["totals"]["deleted"]["files"] == ALL
    assert len(running.asked) == 2 * ASKED


@pytest.mark.parametrize("more", [(), ("--confirm", str(ALL))])
def test_what_bytes_does_not_give_before_keeps_everything(
    ends: tuple[Path, Path], tmp_path: Path, more: tuple[str, ...], prune: Prune
) -> None:
    """Also where it only looks: the number that would go is no use then."""
    with running_bytes(contents=Folder(tmp_path / "elsewhere")) as running:
        told = prune(running, *more)
    assert told["error"]["name"] == "bytes-does-not-answer"
    assert len(running.asked) == 1
    assert len(oracle.disk_paths(ends[0])) == ALL
