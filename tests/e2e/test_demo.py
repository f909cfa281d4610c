"""The demo as a newcomer runs it: it proves what it shows, removes what it made, and touches nothing else."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests import command
from tests.corpus import make_store
from tests.oracle import nothing_written

FEW = ("--files", "40")


def _children_of_this_run(folder: Path) -> list[str]:
    """Command lines of processes that still know the demo's folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in told:
                found.append(process.name)
    return found


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_shows_every_command_and_that_all_came_back_equal(temporary: Path, hermetic: Path) -> None:
    done = command.run("demo", *FEW, env={"TMPDIR": str(temporary)}, installed=True).expect(0)
    for line in (
        "$ bytes-migrator plan --env-file bytes.env --to s3",
        "$ bytes-migrator migrate --env-file bytes.env --to s3 --yes",
        "$ bytes-migrator migrate --env-file bytes.env --from s3 --to ./back --yes",
        "$ bytes-migrator status",
        "Nothing to copy: all 40 files",
        "Equal: all 40 files",
    ):
        assert line in done.stdout, done
    assert list(temporary.iterdir()) == []
    assert not (hermetic / "state").exists()
    assert _children_of_this_run(temporary) == []


@pytest.mark.slow
def test_what_the_reader_has_set_does_not_matter(temporary: Path) -> None:
    own = {
        "TMPDIR": str(temporary),
        "BUCKET_PER_ORG": "nonsense",
        "AWS_ENDPOINT_URL": "http://192.0.2.1:1",
        "AWS_PROFILE": "does-not-exist",
        "BYTES_DATA_DIR": "relative",
        "HTTP_PROXY": "http://192.0.2.1:1",
        "BYTES_MIGRATOR_JSON": "1",
    }
    command.run("demo", *FEW, env=own).expect(0)


@pytest.mark.slow
def test_a_sample_of_own_files_is_only_read(temporary: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    make_store(own, total=60)
    with nothing_written(own):
        done = command.run("demo", "--data-dir", own, env={"TMPDIR": str(temporary)}).expect(0)
    assert "nothing is written there" in done.stdout
    assert "Equal: all 60 files" in done.stdout, done
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_large_store_of_own_files_is_capped_and_that_is_said(temporary: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    make_store(own, total=600)
    done = command.run("demo", "--data-dir", own, env={"TMPDIR": str(temporary)}).expect(0)
    assert "500 files and 256 MB at most" in done.stdout
    equal = re.search(r"Equal: all (\d+) files", done.stdout)
    assert equal is not None, done
    assert 250 < int(equal[1]) <= 500


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_it_removes_what_it_made(temporary: Path, number: int, status: int) -> None:
    with command.start("demo", "--files", "2000", env={"TMPDIR": str(temporary)}, installed=True) as process:
        assert process.wait_for(lambda: b"$ bytes-migrator migrate" in os.fsencode(process.output_so_far()[0]))
        process.signal(number)
        process.finish().expect(status)
    assert list(temporary.iterdir()) == []
    assert _children_of_this_run(temporary) == []


@pytest.mark.slow
def test_kept_up_it_can_be_used_from_another_terminal_until_it_is_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with command.start("demo", *FEW, "--keep", "--dir", str(folder)) as process:
        assert process.wait_for(lambda: "and then, for example" in process.output_so_far()[0])
        lines = [line.split() for line in process.output_so_far()[0].splitlines()]
        exported = dict(line[1].split("=", 1) for line in lines if line[:1] == ["export"])
        told = command.run("plan", "--to", "s3", "--json", env=exported, cwd=folder).expect(0).json()
        assert told["totals"]["present"]["files"] == 40
        time.sleep(0.2)
        process.signal(signal.SIGINT)
        process.finish().expect(0)
    assert not folder.exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with nothing_written(tmp_path):
        done = command.run("demo", "--dir", tmp_path).expect(2)
    assert "[demo-folder-not-empty]" in done.stderr


def test_it_never_works_inside_the_data_folder(tmp_path: Path) -> None:
    own = tmp_path / "own"
    make_store(own, total=4)
    with nothing_written(own):
        done = command.run("demo", "--data-dir", own, "--dir", own / "demo").expect(2)
    assert "[demo-folder-in-data]" in done.stderr


def test_own_files_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    assert "[source-empty]" in command.run("demo", "--data-dir", tmp_path / "no").expect(2).stderr


def test_without_moto_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto" / "__init__.py").write_text("raise ImportError('No module named moto')")
    done = command.run("demo", env={"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}).expect(3)
    assert "-m pip install 'bytes-migrator[demo]'" in done.stderr
