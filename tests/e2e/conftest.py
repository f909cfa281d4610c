"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import command, fork_server, oracle
from tests.bench import native
from tests.bench.native import Native
from tests.conftest import FreshNames
from tests.e2e import ends


@pytest.fixture(params=["single", "per-organization"])
def naming(request: pytest.FixtureRequest, fresh_names: FreshNames) -> oracle.Naming:
    """Both ways in which Bytes names objects."""
    return ends.single(fresh_names) if request.param == "single" else ends.per_organization(fresh_names)


@pytest.fixture
def state(hermetic: Path) -> Path:
    """Where the command keeps its state unless it is told otherwise."""
    return hermetic / "state" / "bytes-migrator"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Native:
    """What the benchmarks compile, such as a server that keeps nothing."""
    try:
        return native.build(tmp_path_factory.mktemp("native"))
    except native.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A place for a data folder; nothing is there yet."""
    return tmp_path / "data"


@pytest.fixture
def without_root() -> str:
    """The `entry` of the command for a user whom file permissions bind, as they bind everybody but root."""
    return command.UNPRIVILEGED if os.geteuid() == 0 else fork_server.COMMAND
