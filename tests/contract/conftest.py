"""The implementations on which each sentence of a contract is held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends import KINDS, S3_KINDS, Backend, DiskBackend, MemoryBackend, S3Backend
from tests.conftest import FreshNames
from tests.servers import Servers


def make_backend(kind: str, tmp_path: Path, servers: Servers, names: FreshNames) -> Backend:
    if kind == "memory":
        return MemoryBackend()
    if kind == "disk":
        return DiskBackend(tmp_path / "data")
    return S3Backend(kind, servers.get(kind.partition("-")[0]), names)


@pytest.fixture(params=KINDS)
def backend(
    request: pytest.FixtureRequest, tmp_path: Path, servers: Servers, fresh_names: FreshNames
) -> Iterator[Backend]:
    opened = make_backend(request.param, tmp_path, servers, fresh_names)
    yield opened
    opened.close()


@pytest.fixture(params=S3_KINDS)
def s3(request: pytest.FixtureRequest, servers: Servers, fresh_names: FreshNames) -> Iterator[S3Backend]:
    opened = S3Backend(request.param, servers.get(request.param.partition("-")[0]), fresh_names)
    yield opened
    opened.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskBackend]:
    opened = DiskBackend(tmp_path / "data")
    yield opened
    opened.close()
