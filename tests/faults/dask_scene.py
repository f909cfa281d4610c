"""The scene of the tests over a Dask cluster: a store on disk, a bucket behind a gate, and workers to be killed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import command, oracle
from tests.conftest import FreshNames
from tests.dask_cluster import Cluster
from tests.e2e import ends
from tests.e2e.gate import Gate
from tests.servers import S3Server

FILES = {"alpha": 520, "beta": 20}
"""Over 500 raw files an organization is cut into shards."""


class Move:
    """A migration of a store on disk into one bucket, by a cluster whose workers have the keys."""

    def __init__(self, gate: Gate, behind: S3Server, names: FreshNames, folder: Path) -> None:
        self.gate = gate
        self.client = behind.client()
        self.data = folder / "data"
        self.naming = ends.single(names)
        self.env = gate.server.env()
        self.folder = folder

    def between(self) -> tuple[str, ...]:
        return "--from", str(self.data), "--to", ends.template(self.naming)

    def words(self, members: Cluster | None = None, *more: str) -> tuple[str, ...]:
        return (*ends.MIGRATE, *self.between(), "--settle", "0", *self.over(members), *more)

    def over(self, members: Cluster | None) -> tuple[str, ...]:
        to = ("--scheduler", members.address) if members else ("--engine", "dask")
        return (*to, "--state-dir", str(self.folder / "state"))

    def run(self, members: Cluster | None = None, *more: str, env: Mapping[str, str | None] | None = None) -> Any:
        return command.run(*self.words(members, *more), env={**self.env, **(env or {})})

    def is_whole(self) -> None:
        oracle.assert_same_contents(oracle.disk_state(self.data), oracle.s3_state(self.client, self.naming))


def accounted(document: Mapping[str, Any], expected: int = sum(FILES.values())) -> None:
    oracle.assert_adds_up(document)
    found = ends.files(document)
    assert found.pop("discovered") == expected
    assert found.get("copied", 0) + found.get("present", 0) == expected, found


def elsewhere(folder: Path) -> tuple[str, ...]:
    """Words that start a program where this folder is empty, in a name space of its own."""
    words = ("unshare", "--map-root-user", "--mount", "sh", "-c", f'mount -t tmpfs none "{folder}" && exec "$@"', "sh")
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("name spaces of one's own are not allowed here")
    return words
