"""Who is in a cluster: slow ones, hung ones, those with certificates, and what the dashboard shows of their work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import command, corpus
from tests.dask_cluster import Cluster, cluster
from tests.e2e import ends
from tests.faults.certificates import make_pair
from tests.faults.dask_scene import Move, accounted

DEADLINE = 60.0


@contextmanager
def shards_done(members: Cluster) -> Iterator[Counter[tuple[str, str]]]:
    """How many tasks of which organization each worker came to an end with, by the workers' names; known when the block is left."""
    from distributed import Client, get_task_stream

    done: Counter[tuple[str, str]] = Counter()
    with Client(members.address, set_as_default=False) as client, get_task_stream(client=client) as stream:
        names = {address: worker["name"] for address, worker in client.scheduler_info(n_workers=-1)["workers"].items()}
        yield done
    for each in stream.data:
        if each["status"] == "OK":
            done[names[each["worker"]], str(each["key"][0])] += 1


def test_a_worker_that_hangs_is_given_up_and_counts_once(move: Move, start: Callable[[int], Cluster]) -> None:
    members = start(1)
    second = members.start_worker("second")
    members.wait_for_workers(2)
    move.gate.hold_after(60, "PUT")
    with command.start(*move.words(members, "--patience", "20"), env=move.env) as process:
        assert process.wait_for(move.gate.is_holding), process.output_so_far()
        members.hang(second)
        move.gate.release()
        document = process.finish().expect(0).json()
    accounted(document)
    move.is_whole()
    finding = ends.findings(document)["worker-left-out"]
    assert "second" in finding["seen"]
    assert "Nothing was heard of it" in finding["seen"]


@pytest.mark.slow
def test_a_worker_that_hangs_before_the_start_holds_nobody_up(move: Move, start: Callable[[int], Cluster]) -> None:
    members = start(1)
    second = members.start_worker("second")
    members.wait_for_workers(2)
    members.hang(second)
    document = move.run(members, "--patience", "20").expect(0).json()
    accounted(document)
    move.is_whole()


@pytest.mark.slow
def test_beside_a_slow_worker_the_others_do_more_and_nothing_counts_twice(
    move: Move, start: Callable[[int], Cluster], strace: Callable[..., tuple[str, ...]]
) -> None:
    members = start(1)
    members.start_worker("slow", before=strace("sendto:delay_enter=20000"))
    members.wait_for_workers(2)
    with shards_done(members) as done:
        document = move.run(members).expect(0).json()
    accounted(document)
    move.is_whole()
    by_worker: Counter[str] = Counter()
    for (worker, _), count in done.items():
        by_worker[worker] += count
    assert by_worker["w0"] > by_worker["slow"] > 0, by_worker


@pytest.mark.slow
def test_one_organization_with_most_of_the_files_keeps_all_workers_busy(
    move: Move, start: Callable[[int], Cluster]
) -> None:
    corpus.make_store(move.data, {"most": 1140, "few": 60}, sizes=10)
    members = start(4)
    with shards_done(members) as done:
        document = move.run(members, "--organization", "most", "--organization", "few").expect(0).json()
    accounted(document, 1200)
    of_most = {worker: count for (worker, organization), count in done.items() if organization == "most"}
    shards = sum(of_most.values()) - 1  # one unit was its survey
    assert shards == 16
    assert set(of_most) == {"w0", "w1", "w2", "w3"}
    assert max(of_most.values()) <= shards / 2, of_most  # how even depends on who else uses the machine


# --- TLS --------------------------------------------------------------------------------------------------------------


def tls(role: str, ca: Path, certificate: Path, key: Path) -> dict[str, str]:
    """What a member reads, and the coordinator as a client."""
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    own = {f"{prefix}{role}__CERT": str(certificate), f"{prefix}{role}__KEY": str(key)}
    return {f"{prefix}CA_FILE": str(ca), **own}


@pytest.fixture
def encrypted(move: Move, tmp_path: Path) -> Iterator[Cluster]:
    pair = make_pair(tmp_path / "ours")
    env = {**move.env, **tls("SCHEDULER", *pair), **tls("WORKER", *pair)}
    with cluster(tmp_path / "cluster", env, workers=2, scheme="tls") as members:
        yield members


def test_with_certificates_of_the_clusters_ca_a_run_goes_over_tls(
    move: Move, encrypted: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "ours"
    mine = tls("CLIENT", folder / "ca.pem", folder / "certificate.pem", folder / "key.pem")
    assert encrypted.address.startswith("tls://")
    accounted(move.run(encrypted, env=mine).expect(0).json())
    move.is_whole()


@pytest.mark.slow
def test_a_client_of_another_ca_is_told_so(move: Move, encrypted: Cluster, tmp_path: Path) -> None:
    other = tls("CLIENT", *make_pair(tmp_path / "other"))
    done = move.run(encrypted, "--patience", "2", env=other).expect(3)
    error = done.json()["error"]
    assert "Warning" not in done.stderr
    assert error["name"] == "scheduler-unreachable"
    assert "certificate" in error["why"]
    assert "DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in error["cure"]


NOT_THERE = [
    pytest.param(f"DASK_DISTRIBUTED__COMM__TLS__{name}", value, marks=pytest.mark.slow if (number + place) % 2 else ())
    for number, name in enumerate(["CA_FILE", "CLIENT__CERT"])
    for place, value in enumerate(["", "/nowhere/at-all.pem"])
]
"""Each setting, and each way in which it may be wrong; each case starts Python and Dask anew, for they read it at their start."""


@pytest.mark.parametrize(("gone", "value"), NOT_THERE)
def test_certificates_that_are_not_there_are_named(gone: str, value: str, move: Move, tmp_path: Path) -> None:
    mine: dict[str, str | None] = {**tls("CLIENT", *make_pair(tmp_path / "ours")), gone: value or None}
    words = ("--scheduler", "tls://127.0.0.1:1", "--state-dir", str(tmp_path / "state"))
    error = command.run(*ends.MIGRATE, *move.between(), *words, env={**move.env, **mine}).expect(2).json()["error"]
    assert error["name"] == "certificates-missing"
    assert gone in error["what"]
    assert value in error["what"]


# --- the dashboard ----------------------------------------------------------------------------------------------------


def test_the_dashboard_shows_shards_by_organization(move: Move, tmp_path: Path) -> None:
    organizations = {"gemeente-12-oost": 30, "gemeente-13": 30, "b1": 30}
    corpus.make_store(move.data, organizations)
    only = [word for name in organizations for word in ("--organization", name)]
    with cluster(tmp_path / "cluster", move.env, workers=2, dashboard=True) as members:
        move.gate.hold_after(20, "PUT")
        with command.start(*move.words(members, *only), env=move.env) as process:
            assert process.wait_for(move.gate.is_holding), process.output_so_far()
            page = f"http://{members.dashboard}/individual-progress"
            with ThreadPoolExecutor(1) as pool:  # in this thread the browser's tests leave an event loop that runs
                shown = pool.submit(names_in_progress, page, len(organizations)).result()
            move.gate.release()
            accounted(process.finish().expect(0).json(), 90)
    assert {name.replace("\N{NON-BREAKING HYPHEN}", "-") for name in shown} == set(organizations)


def names_in_progress(url: str, expected: int) -> set[str]:
    """What the page's bars are of, once there are so many of them."""
    from bokeh.client import pull_session
    from bokeh.models import ColumnDataSource

    deadline = time.monotonic() + DEADLINE
    while True:
        session = pull_session(url=url)
        try:
            names: set[Any] = set()
            for source in session.document.select({"type": ColumnDataSource}):
                names |= set(source.data.get("name", ()))
        finally:
            session.close()
        if len(names) >= expected or time.monotonic() > deadline:
            return names
