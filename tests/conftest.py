"""Fixtures for all tests: a hermetic environment, real S3 servers, names that nobody else uses."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import command, order, strategies
from tests.postgres import Postgres, running
from tests.servers import KINDS, SESSION, PrivateServer, S3Server, Servers, session_folder, stop_all

settings.register_profile("dev", deadline=None, max_examples=30)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=30, database=None)
settings.register_profile("few", settings.get_profile("ci"), max_examples=strategies.FEW)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_FOREIGN = ("AWS_", "BYTES_", "S3_", "BUCKET_PER_ORG", "XDG_", "BOTO")
_FOREIGN_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NO_COLOR", "FORCE_COLOR", "COLUMNS")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--few",
        action="store_true",
        help="few examples of each law, one in ten of many cases, the contracts on memory and disk alone: for scripts/test --fast",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.few:
        settings.load_profile("few")
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="migrator-tests-"))
        os.environ[SESSION] = f"{os.getpid()}:{folder}"
        atexit.register(stop_all, folder)
        for name in _foreign_names():
            del os.environ[name]
        os.environ.update(_environment(folder / "home"))  # for fixtures of the session, which come before `hermetic`


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        stop_all(session_folder(os.environ)[0])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Find the tests without the garbage collector: hardly anything is let go of, and looking for it took a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()  # half a million objects of 6,000 tests, which each full collection would look through again
        gc.enable()


ONE_OF_MANY = 10
_DIMENSIONS = ("server", "naming", "kind", "lane", "each_lane", "deployment", "answers", "direction")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    _leave_combinations_to_slow(items)
    _leave_places_to_slow(items)
    if config.option.few:
        left_out = _beyond_few(items)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    yield
    if order.workers() > 1:
        items[:] = order.long_ones_first(items, order.workers())


def _beyond_few(items: list[pytest.Item]) -> list[pytest.Item]:
    """What ``--few`` leaves out: nine of ten cases of what is marked `many`, and the contracts on S3 servers."""
    cases: Counter[str] = Counter()
    beyond = []
    for item in items:
        test = item.nodeid.partition("[")[0]
        params = _params_of(item)
        place = params.get("backend", params.get("s3", "disk"))  # as tests/backends.py calls them
        if cases[test] % ONE_OF_MANY or place not in ("disk", "memory"):
            beyond.append(item)
        cases[test] += item.get_closest_marker("many") is not None
    return beyond


def _params_of(item: pytest.Item) -> dict[str, Any]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def _leave_combinations_to_slow(items: list[pytest.Item]) -> None:
    """Of what runs the command in every combination of servers, namings and lanes, half is left to ``--slow``: every value is still met.

    Like the black fields of a chess board, so that each server is met with each other thing, only not with all of them. Where nothing but
    the server differs, SeaweedFS stays.
    """
    values: dict[tuple[str, str], list[object]] = {}
    for item in items:
        for name, value in _dimensions_of(item).items():
            seen = values.setdefault((item.nodeid.partition("[")[0], name), [])
            if value not in seen:
                seen.append(value)
    for item in items:
        place = _dimensions_of(item)
        varied = {name: values[item.nodeid.partition("[")[0], name] for name in place}
        dimensions = [name for name, seen in varied.items() if len(seen) > 1]
        field = sum(seen.index(place[name]) for name, seen in varied.items())
        if len(dimensions) > 1 and field % 2:
            item.add_marker(pytest.mark.slow)
        if dimensions == ["server"] and getattr(place["server"], "name", place["server"]) == "moto":
            item.add_marker(pytest.mark.slow)  # the real server is the one that stays


def _leave_places_to_slow(items: list[pytest.Item]) -> None:
    """Of contract tests that vary something else too, each S3 place meets its share of the cases: each case and each place are still met.

    Memory and disk, which cost nothing, meet all cases.
    """
    cases: dict[str, list[object]] = {}
    for item in items:
        place = _s3_place_of(item)
        if place is None:
            continue
        seen = cases.setdefault(item.nodeid.partition("[")[0], [])
        rest = sorted((name, repr(value)) for name, value in _params_of(item).items() if name not in _PLACES)
        if rest not in seen:
            seen.append(rest)
        item.stash[_CASE] = (place, seen.index(rest))
    for item in items:
        if _CASE in item.stash:
            place, case = item.stash[_CASE]
            many = len(cases[item.nodeid.partition("[")[0]])
            if many > 1 and (place - case) % min(many, len(MET)):
                item.add_marker(pytest.mark.slow)


_PLACES = ("backend", "s3")
MET = ("moto-each", "weed-one", "weed-each")
"""The S3 places of tests/backends.py that are not slow altogether."""
_CASE = pytest.StashKey[tuple[int, int]]()


def _s3_place_of(item: pytest.Item) -> int | None:
    params = _params_of(item)
    found = [params[name] for name in _PLACES if params.get(name) in MET]
    return MET.index(found[0]) if found and "contract" in item.path.parts else None


def _dimensions_of(item: pytest.Item) -> dict[str, object]:
    params = _params_of(item)
    runs_the_command = {"e2e", "faults"} & set(item.path.parts)
    return {name: params[name] for name in _DIMENSIONS if name in params} if runs_the_command else {}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers that tests will ask for, so that they get ready while other tests run."""
    if session.config.option.collectonly or session.config.pluginmanager.hasplugin("dsession"):
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    chosen = {_params_of(item).get("server") for item in session.items}
    servers = _servers()
    for kind in set(KINDS) & (wanted | chosen):
        with contextlib.suppress(FileNotFoundError):
            servers.launch(kind)


def _foreign_names() -> list[str]:
    return [name for name in os.environ if name.startswith(_FOREIGN) or name.upper() in _FOREIGN_NAMES]


def _environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "BYTES_MIGRATOR_OWNER": "root",  # the tests' Bytes runs as whoever runs them; tests of owners name another user
        "BYTES_MIGRATOR_FORCE": "bytes-calls",  # SeaweedFS and rclone fail it, and most tests count calls
        "BOTO_EXPERIMENTAL__NO_EMPTY_CONTINUE": "true",  # before 1.44, an empty PUT to SeaweedFS held up the next one for a minute
        "LC_ALL": "C.UTF-8",
    }


@functools.cache
def _servers() -> Servers:
    folder, owner = session_folder(os.environ)
    return Servers(folder, owner)


@pytest.fixture(autouse=True)
def hermetic(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """An environment in which nothing of the developer's can be seen; gives the home folder. Ends what `command.start` left."""
    for name in _foreign_names():
        monkeypatch.delenv(name)
    home = (
        tmp_path_factory.getbasetemp() / "homes" / secrets.token_hex(8)
    )  # `mktemp` lists all others before it makes one
    home.mkdir(parents=True)
    for name, value in _environment(home).items():
        monkeypatch.setenv(name, value)
    if request.node.get_closest_marker("one_process"):
        monkeypatch.setenv("BYTES_MIGRATOR_ENGINE", "local")
    yield home
    command.kill_leftovers()


@pytest.fixture(scope="session")
def servers() -> Servers:
    return _servers()


@pytest.fixture(scope="session")
def weed(servers: Servers) -> S3Server:
    """SeaweedFS: checks signatures, Content-MD5 and conditional writes."""
    return servers.get("weed")


@pytest.fixture(scope="session")
def moto(servers: Servers) -> S3Server:
    """moto's server: checks neither signature nor digest, so never the only server of a test."""
    return servers.get("moto")


@pytest.fixture(scope="session")
def rclone(servers: Servers) -> S3Server:
    """rclone's server: no conditional writes, answers a range with 200, other ETags after a multipart upload."""
    return servers.get("rclone")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this worker's own."""
    with running() as server:
        yield server


@pytest.fixture(scope="session", params=["moto", "weed"])
def server(request: pytest.FixtureRequest, servers: Servers) -> S3Server:
    """Each test runs on moto's server and on SeaweedFS."""
    return servers.get(request.param)


@pytest.fixture
def private_server(servers: Servers) -> Iterator[Callable[[str], PrivateServer]]:
    """``private_server("weed")``: a server of the test's own, which it may kill."""
    with contextlib.ExitStack() as stack:

        def start(kind: str) -> PrivateServer:
            assert kind in KINDS
            opened: AbstractContextManager[PrivateServer] = servers.private(kind)
            return stack.enter_context(opened)

        yield start


@dataclass(frozen=True)
class FreshNames:
    """Names that no other test uses; `bucket` does not start with `prefix`."""

    token: str

    @property
    def bucket(self) -> str:
        return f"one-{self.token}"

    @property
    def prefix(self) -> str:
        return f"per-{self.token}-"

    def another(self) -> FreshNames:
        return FreshNames(secrets.token_hex(5))


@pytest.fixture
def fresh_names() -> FreshNames:
    return FreshNames(secrets.token_hex(5))
