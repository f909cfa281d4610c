"""A second pass: what is finished and unchanged costs little, whatever changed is seen, also while Bytes writes."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE
from tests.e2e.gate import gate_before
from tests.servers import S3Server

pytestmark = pytest.mark.one_process


def migrate(*words: Any, server: S3Server, status: int = 0) -> Any:
    return command.run(*MIGRATE, *words, env=server.env()).expect(status).json()


def test_a_pass_with_little_to_do_costs_few_requests(weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    data, naming = tmp_path / "data", ends.single(fresh_names)
    organizations = {"alpha": 520, "alpha-2": 40, "b1": 10}  # over 500 are cut into shards
    corpus.make_store(data, organizations, sizes=50)
    words = ("--from", data, "--to", ends.template(naming), "--settle", "0")
    with gate_before(weed) as gate:
        migrate(*words, server=gate.server)
        at_first = gate.requests
        fresh = [corpus.add_raw_file(data, "alpha", content=b"new"), corpus.add_raw_file(data, "b1", content=b"too")]
        told = migrate(*words, server=gate.server)
        assert gate.requests - at_first < 40 < at_first
    counts = ends.files(told)
    assert counts["copied"] == len(fresh)
    assert counts["discovered"] == 572
    oracle.assert_adds_up(told)
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(weed.client(), naming))


def test_damage_at_the_target_is_found_and_everything_is_read_again_on_request(
    weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    data, naming = tmp_path / "data", ends.single(fresh_names)
    corpus.make_store(data, {"alpha": 120}, sizes=50)
    words = ("--from", data, "--to", ends.template(naming), "--settle", "0")
    migrate(*words, server=weed)
    raw_id = sorted(raw_id for _, raw_id in oracle.disk_paths(data))[17]
    ends.put(weed.client(), naming, "alpha", raw_id, b"something else")
    for more in ((), ("--full",), ("--reread",)):
        told = migrate(*words, *more, server=weed, status=1)
        assert ends.files(told) == {"discovered": 120, "present": 119, "conflict": 1}
        assert told["target_sample"] is None, "all of it was listed"
        [problem] = ends.problems(told, "conflict")
        assert problem["id"] == raw_id


@pytest.mark.parametrize("compare", ["content", "size"])
def test_an_edit_of_the_same_size_is_a_conflict(
    compare: str, weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    """Times are set back, as a restored backup does; the folder's times do not change at all."""
    data, naming = tmp_path / "data", ends.single(fresh_names)
    corpus.make_store(data, {"alpha": 40}, sizes=50)
    words = ("--from", data, "--to", ends.template(naming), "--compare", compare)
    migrate(*words, server=weed)
    edited = Path(min(oracle.disk_paths(data).values()))
    before = edited.stat()
    with edited.open("r+b") as file:
        file.write(bytes([edited.read_bytes()[0] ^ 1]))
    os.utime(edited, ns=(before.st_atime_ns, before.st_mtime_ns))
    told = migrate(*words, server=weed, status=1)
    assert ends.files(told) == {"discovered": 40, "present": 39, "conflict": 1}


@pytest.mark.parametrize("how", ["mtime set back", "folder replaced"])
def test_what_hides_in_old_times_is_seen(how: str, weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    """`rsync -a`, `cp -a` and restored backups set modification times back; change time and inode tell."""
    data, naming = tmp_path / "data", ends.single(fresh_names)
    corpus.make_store(data, {"alpha": 50}, sizes=50)
    words = ("--from", data, "--to", ends.template(naming), "--settle", "0")
    migrate(*words, server=weed)
    fresh = Path(corpus.add_raw_file(data, "alpha", content=b"hidden"))
    folder = fresh.parent
    os.utime(folder, (1_000_000_000, 1_000_000_000))
    if how == "folder replaced":
        folder.rename(folder.with_name("aside"))
        folder.mkdir()
        for file in folder.with_name("aside").iterdir():
            file.rename(folder / file.name)
        folder.with_name("aside").rmdir()
        os.utime(folder, (1_000_000_000, 1_000_000_000))
    assert ends.files(migrate(*words, server=weed))["copied"] == 1


@dataclass
class Writer:
    """Saves raw files as Bytes does: the name first, then the content in pieces, then the mode. As many as it was allowed, until stopped.

    Without a limit, a slow machine gives each pass more to do than the pass before, and the passes never catch up.
    """

    root: Path
    saved: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _allowed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def allow(self, count: int) -> None:
        """Have it save so many more."""
        self._allowed.release(count)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        thread = threading.Thread(target=self._write)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._allowed.release()
            thread.join()

    def _write(self) -> None:
        generator = random.Random(7)
        while self._allowed.acquire() and not self._stop.is_set():
            raw_id = corpus.new_raw_id(generator)
            folder = self.root / generator.choice(("alpha", "b1")) / raw_id[:3]
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / raw_id, "wb", buffering=0) as file:
                for _ in range(generator.randrange(4)):
                    file.write(generator.randbytes(2_000))
            os.chmod(folder / raw_id, corpus.FILE_MODE)
            self.saved += 1
            self._stop.wait(0.002)  # some hundred a second, as much as Bytes ever saves


@pytest.mark.parametrize("passes", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_passes_while_bytes_writes_lose_nothing(
    passes: int, weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    data, naming = tmp_path / "data", ends.single(fresh_names)
    corpus.make_store(data, {"alpha": 120, "b1": 30})
    words = ("--from", data, "--to", ends.template(naming), "--settle", "0.5")
    copied = 0
    with Writer(data).writing() as writer:
        for _ in range(passes):
            writer.allow(150)
            told = migrate(*words, server=weed)
            copied += ends.files(told).get("copied", 0)
    assert writer.saved > 100, "it wrote while the passes ran"
    last = migrate(*words, server=weed)
    oracle.assert_adds_up(last)
    assert last["totals"]["discovered"]["files"] == 150 + writer.saved
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(weed.client(), naming))
