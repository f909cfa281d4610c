"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests import oracle
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


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A place for a data folder; nothing is there yet."""
    return tmp_path / "data"


@pytest.fixture
def without_root() -> tuple[str, ...]:
    """Words that start the command as a user whom file permissions bind, as they bind everybody but root."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and setpriv, which gives that up, is not installed")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
