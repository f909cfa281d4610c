"""Fixtures of the fault tests: both lanes, small and large files, file systems of a test's own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests import corpus
from tests.conftest import FreshNames
from tests.dask_cluster import Cluster, cluster
from tests.e2e import ends
from tests.e2e.gate import Gate, gate_before
from tests.faults.bench import ORGANIZATIONS, is_root
from tests.faults.certificates import Certificates, make_certificates
from tests.faults.dask_scene import FILES, Move
from tests.faults.without_wire import without_pycurl
from tests.servers import S3Server

Mount = Callable[..., Path]


@pytest.fixture(params=["libcurl", "boto3"])
def lane(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """With the bulk lane in processes, and on a machine that has no libcurl in the command's own."""
    return {**without_pycurl(), "BYTES_MIGRATOR_ENGINE": "local"} if request.param == "boto3" else {}


@pytest.fixture(params=["libcurl", pytest.param("boto3", marks=pytest.mark.slow)])
def each_lane(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """As `lane`, without libcurl only where there is time."""
    return without_pycurl() if request.param == "boto3" else {}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    ends.make_varied_store(tmp_path / "data", ORGANIZATIONS)
    return tmp_path / "data"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Ten small raw files: for scenarios in which their number does not matter."""
    ends.make_varied_store(tmp_path / "data", {"alpha": 7, "b1": 3})
    return tmp_path / "data"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """One raw file of three parts."""
    corpus.make_store(tmp_path / "data", {"alpha": 0}, large=[ends.LARGE])
    return tmp_path / "data"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """``mount("size=2m")``: a tmpfs with these options at a folder of the test's own; given back at the end.

    Skips where that is not allowed: it takes root, in a container CAP_SYS_ADMIN too.
    """
    mounted: list[Path] = []

    def mount_here(options: str, name: str = "mounted") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if not is_root() or not shutil.which("mount"):
            pytest.skip("mounting a tmpfs takes root and mount(8)")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"this machine does not let a tmpfs be mounted: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount_here
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=False)


def _injections(calls: Sequence[str], path: object) -> tuple[str, ...]:
    traced = ",".join(dict.fromkeys(call.partition(":")[0] for call in calls))
    chosen = ("-P", str(path)) if path is not None else ()
    return ("-e", f"trace={traced}", *(word for call in calls for word in ("-e", f"inject={call}")), *chosen)


def _strace() -> str:
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run([program, "-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"strace may not trace here: {probe.stderr.decode()[:100]}")
    return program


@pytest.fixture(scope="session")
def strace() -> Callable[..., tuple[str, ...]]:
    """``strace("read:error=EIO")``: words that start a command with system calls failing."""
    program = _strace()
    return lambda *calls: (program, "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", *_injections(calls, None))


@pytest.fixture(scope="session")
def injected() -> Callable[..., tuple[str, ...]]:
    """``injected("read:error=EIO", path=…)``: for `Bench.run`, system calls that fail, those on `path` only if it is given."""
    _strace()
    return lambda *calls, path=None: ("-o", "/dev/null", *_injections(calls, path))


@pytest.fixture
def gate(weed: S3Server) -> Iterator[Gate]:
    with gate_before(weed) as opened:
        yield opened


@pytest.fixture
def move(gate: Gate, weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> Move:
    made = Move(gate, weed, fresh_names, tmp_path)
    ends.make_varied_store(made.data, FILES)
    return made


@pytest.fixture
def start(move: Move, tmp_path: Path) -> Iterator[Callable[[int], Cluster]]:
    """``start(2)``: a cluster of two workers that have the keys."""
    opened = []

    def begin(workers: int) -> Cluster:
        context = cluster(tmp_path / "cluster", move.env, workers=workers)
        opened.append(context)
        return context.__enter__()

    yield begin
    for context in opened:
        context.__exit__(None, None, None)
