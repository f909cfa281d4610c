"""The whole job on every server that can be had, over HTTP and HTTPS: up, killed, resumed and verified; then the same way back.

SeaweedFS, rclone, moto and JuiceFS' gateway (MinIO's code) come with the tests' environment; Ceph's RGW is installed by
``scripts/test --slow``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import command, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE
from tests.faults.certificates import make_certificates
from tests.faults.proxy import Exchange, Proxy, Rule, proxy_before
from tests.servers import KINDS, Servers, missing

ORGANIZATIONS = {"alpha": 60, "alpha-2": 25, "b1": 15}
KILLED_AFTER = 40
"""Requests for raw files that pass before everything is held and the command is killed."""

pytestmark = pytest.mark.slow


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if reason := missing(name):
        pytest.skip(reason)
    return name


@pytest.fixture(params=["http", "https"])
def proxy(
    request: pytest.FixtureRequest, kind: str, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """Before the server: what a client sees as the server itself, by either scheme."""
    server = servers.get(kind)
    if request.param == "http":
        with proxy_before(server) as plain:
            yield plain
        return
    made = make_certificates(tmp_path_factory.mktemp("certificates"))
    with proxy_before(server, tls=made.good, env={"AWS_CA_BUNDLE": str(made.ca)}) as secured:
        yield secured


def killed_and_resumed(proxy: Proxy, method: str, words: tuple[str, ...], env: dict[str, str]) -> dict[str, object]:
    """Run `migrate`, kill it when it has sent some requests for raw files, and run it to its end; returns the last run's report."""
    held: list[str] = []

    def hold(exchange: Exchange) -> None:
        held.append(exchange.target)
        proxy.ended.wait(60)

    proxy.rules = (Rule(hold, method=method, path=r"[0-9a-f]{8}-[0-9a-f]{4}-", nth=range(KILLED_AFTER, 10_000)),)
    with command.start(*MIGRATE, *words, env=env) as process:
        assert process.wait_for(lambda: bool(held)), process.output_so_far()
        process.kill()
    proxy.calm()
    document: dict[str, object] = command.run(*MIGRATE, *words, env=env, timeout=300).expect(0).json()
    oracle.assert_adds_up(document)
    return document


@pytest.mark.timeout(600)
@pytest.mark.parametrize("naming_of", [ends.single, ends.per_organization], ids=["one bucket", "a bucket each"])
def test_the_whole_job_with_kills_and_proofs(
    naming_of: Callable[[FreshNames], oracle.Naming],
    proxy: Proxy,
    kind: str,
    fresh_names: FreshNames,
    data: Path,
    tmp_path: Path,
) -> None:
    naming = naming_of(fresh_names)
    store = ends.make_varied_store(data, ORGANIZATIONS, large=1)
    expected, fresh = oracle.disk_state(data), tmp_path / "fresh"
    env = {**proxy.server.env(), **proxy.env}
    there = ("--from", str(data), "--to", ends.template(naming))
    back = ("--from", ends.template(naming), "--to", str(fresh))

    document = killed_and_resumed(proxy, "PUT", there, env)
    assert ends.files(document)["discovered"] == store.files
    oracle.assert_same_contents(expected, oracle.s3_state(proxy.client(), naming))
    proven = command.run("verify", *there, "--level", "content", "--json", env=env, timeout=300).expect(0).json()
    assert ends.files(proven)["proven"] == store.files

    document = killed_and_resumed(proxy, "GET", back, env)
    assert ends.files(document)["discovered"] == store.files
    oracle.assert_same(expected, oracle.disk_state(fresh))
    assert ends.everything_below(fresh) == ends.raw_file_paths(fresh), "temporary files were left"
    proven = command.run("verify", *back, "--level", "content", "--json", env=env, timeout=300).expect(0).json()
    assert ends.files(proven)["proven"] == store.files
