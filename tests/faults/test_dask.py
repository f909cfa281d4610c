"""A run over a Dask cluster: nothing lost and nothing counted twice, whatever is killed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import command, corpus, oracle
from tests.dask_cluster import Cluster
from tests.e2e import ends
from tests.faults.dask_scene import FILES, Move, accounted, elsewhere


def test_a_cluster_of_its_own_does_the_work_with_keys_from_an_env_file(move: Move, tmp_path: Path) -> None:
    keys = ends.write_env_file(tmp_path / "keys.env", move.env)
    without: dict[str, str | None] = dict.fromkeys(move.env)
    document = move.run(None, "--env-file", str(keys), env=without).expect(0).json()
    accounted(document)
    move.is_whole()
    again = move.run(None, "--env-file", str(keys), env=without).expect(0).json()
    assert ends.files(again)["present"] == sum(FILES.values())


def test_keys_stay_and_workers_use_their_own(move: Move, start: Callable[[int], Cluster], tmp_path: Path) -> None:
    members = start(2)
    wrong = {**move.env, "AWS_SECRET_ACCESS_KEY": "NeverToBePrintedAndWrong"}
    keys = ends.write_env_file(tmp_path / "keys.env", move.env)
    document = move.run(members, "--env-file", str(keys), env=wrong).expect(0).json()
    accounted(document)
    assert "keys-stay-here" in [finding["name"] for finding in document["findings"]]
    assert "NeverToBePrinted" not in members.log()


def test_a_worker_killed_in_mid_shard_is_replaced_and_counts_once(move: Move, start: Callable[[int], Cluster]) -> None:
    members = start(1)
    second = members.start_worker("second")
    members.wait_for_workers(2)
    move.gate.hold_after(60, "PUT")
    with command.start(*move.words(members), env=move.env) as process:
        assert process.wait_for(move.gate.is_holding), process.output_so_far()
        members.kill(second)
        move.gate.release()
        document = process.finish().expect(0).json()
    accounted(document)
    move.is_whole()


@pytest.mark.slow
def test_all_workers_killed_and_started_again(move: Move, start: Callable[[int], Cluster]) -> None:
    members = start(0)
    first = members.start_worker("first")
    members.wait_for_workers(1)
    move.gate.hold_after(60, "PUT")
    with command.start(*move.words(members), env=move.env) as process:
        assert process.wait_for(move.gate.is_holding), process.output_so_far()
        members.kill(first)
        move.gate.release()
        members.start_worker("second")
        document = process.finish().expect(0).json()
    accounted(document)
    move.is_whole()


@pytest.mark.slow
def test_the_scheduler_restarted(move: Move, start: Callable[[int], Cluster]) -> None:
    members = start(2)
    move.gate.hold_after(60, "PUT")
    with command.start(*move.words(members), env=move.env) as process:
        assert process.wait_for(move.gate.is_holding), process.output_so_far()
        assert members.scheduler is not None
        members.kill(members.scheduler)
        move.gate.release()
        members.start_scheduler()
        for name in ("new-0", "new-1"):  # workers end with their scheduler; whoever watches over them starts new ones
            members.start_worker(name)
        document = process.finish().expect(0).json()
    accounted(document)
    move.is_whole()


@pytest.mark.slow
def test_a_scheduler_that_stays_away_ends_the_run_in_words(move: Move, start: Callable[[int], Cluster]) -> None:
    members = start(1)
    move.gate.hold_after(60, "PUT")
    with command.start(*move.words(members, "--patience", "3"), env=move.env) as process:
        assert process.wait_for(move.gate.is_holding), process.output_so_far()
        assert members.scheduler is not None
        members.kill(members.scheduler)
        error = process.finish().expect(3).json()["error"]
        move.gate.release(drop=True)
    assert error["name"] == "scheduler-gone"
    assert "same command" in error["cure"]
    accounted(move.run(None).expect(0).json())
    move.is_whole()


def test_the_coordinator_killed_and_started_again(move: Move, start: Callable[[int], Cluster]) -> None:
    members = start(2)
    move.gate.hold_after(60, "PUT")
    with command.start(*move.words(members), env=move.env) as process:
        assert process.wait_for(move.gate.is_holding), process.output_so_far()
        process.signal(signal.SIGKILL)
    move.gate.release()
    accounted(move.run(members).expect(0).json())
    move.is_whole()


@pytest.mark.parametrize(
    "own", [pytest.param(True, id="own cluster", marks=pytest.mark.slow), pytest.param(False, id="scheduler")]
)
def test_ctrl_c_drains_and_the_same_command_goes_on(move: Move, start: Callable[[int], Cluster], *, own: bool) -> None:
    members = None if own else start(2)
    move.gate.hold_after(60, "PUT")
    with command.start(*move.words(members), env=move.env) as process:
        assert process.wait_for(move.gate.is_holding), process.output_so_far()
        process.signal_group(signal.SIGINT)
        assert process.wait_for(lambda: "Stopping" in process.output_so_far()[1])
        move.gate.release()
        document = process.finish().expect(130).json()
    oracle.assert_adds_up(document)
    found = ends.files(document)
    assert found["discovered"] == sum(FILES.values())
    assert found["pending"] > 0
    there = len(oracle.s3_listing(move.client, move.naming))
    assert there == found.get("copied", 0)
    status = command.run("status", "--json", "--state-dir", str(move.folder / "state"), env=move.env).expect(0)
    assert "130" in status.stdout
    document = move.run(members).expect(0).json()
    accounted(document)
    assert ends.files(document)["present"] == there
    move.is_whole()


@pytest.mark.slow
def test_a_worker_that_does_not_see_the_data_folder_is_named_and_left_out(
    move: Move, start: Callable[[int], Cluster]
) -> None:
    members = start(1)
    members.start_worker("blind", before=elsewhere(move.data))
    members.wait_for_workers(2)
    document = move.run(members).expect(0).json()
    accounted(document)
    [finding] = [finding for finding in document["findings"] if finding["name"] == "worker-left-out"]
    assert "blind" in finding["seen"]
    assert str(move.data) in finding["seen"]
    move.is_whole()


def test_when_no_worker_sees_the_data_folder_nothing_is_moved(move: Move, start: Callable[[int], Cluster]) -> None:
    members = start(0)
    members.start_worker("blind", before=elsewhere(move.data))
    members.wait_for_workers(1)
    error = move.run(members).expect(3).json()["error"]
    assert error["name"] == "no-worker-fits"
    assert "blind" in error["what"]
    assert not oracle.s3_listing(move.client, move.naming)


def test_no_worker_at_all(move: Move, start: Callable[[int], Cluster]) -> None:
    error = move.run(start(0), "--patience", "2").expect(3).json()["error"]
    assert error["name"] == "no-workers"
    assert "dask worker" in error["cure"]


def test_a_worker_of_another_version_is_refused(move: Move, start: Callable[[int], Cluster], tmp_path: Path) -> None:
    members = start(1)
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import migrator\nmigrator.__version__ = '0.0.1'\n")
    members.start_worker("old", env={"PYTHONPATH_FIRST": str(other)})
    members.wait_for_workers(2)
    error = move.run(members).expect(3).json()["error"]
    assert error["name"] == "mixed-versions"
    assert "0.0.1" in error["what"]


def test_a_large_file_goes_on_with_the_upload_of_the_worker_that_was_lost(
    move: Move, start: Callable[[int], Cluster]
) -> None:
    corpus.make_store(move.data, {"large": 0}, large=[5 * ends.LARGE])
    members = start(0)
    first = members.start_worker("first")
    members.wait_for_workers(1)
    move.run(members, "--organization", "beta").expect(0)  # with the bucket, and what the server can do, known
    move.gate.hold_after(2, "PUT")
    words = move.words(members, "--organization", "large")
    with command.start(*words, env=move.env) as process:
        assert process.wait_for(move.gate.is_holding), process.output_so_far()
        [began] = move.client.list_multipart_uploads(Bucket=move.naming.bucket)["Uploads"]
        members.kill(first)
        move.gate.release(drop=True)
        move.gate.hold_after(0, "POST", only_tell=True)
        members.start_worker("second")
        assert process.wait_for(move.gate.is_holding), process.output_so_far()
        still = move.client.list_multipart_uploads(Bucket=move.naming.bucket).get("Uploads", [])
        assert {upload["UploadId"] for upload in still} <= {began["UploadId"]}
        document = process.finish().expect(0).json()
    accounted(document, 1)
    assert not move.client.list_multipart_uploads(Bucket=move.naming.bucket).get("Uploads")


@pytest.mark.parametrize("engine", ["local", "processes", "dask"])
def test_every_engine_comes_to_the_same(engine: str, move: Move) -> None:
    words = move.words()
    at = words.index("dask")
    document = command.run(*words[:at], engine, *words[at + 1 :], env=move.env).expect(0).json()
    accounted(document)
    assert ends.files(document)["copied"] == sum(FILES.values())
    move.is_whole()
    planned = command.run(
        *ends.PLAN, "--from", move.data, "--to", ends.template(move.naming), "--engine", engine, env=move.env
    )
    assert ends.files(planned.expect(0).json())["present"] == sum(FILES.values())


SAID_AT_ONCE = [
    (("--scheduler", "tcp://192.0.2.1:8786"), 2, "scheduler-not-encrypted"),
    (("--scheduler", "tcp://scheduler.example.org:8786"), 2, "scheduler-not-encrypted"),
    (("--scheduler", "scheduler:8786"), 2, "scheduler-not-an-address"),
    (("--scheduler", "tls://NeverToBePrinted:x@host:1"), 2, "scheduler-not-an-address"),
    (("--scheduler", "tcp://127.0.0.1:1", "--engine", "local"), 2, "scheduler-without-dask"),
    (("--scheduler", "tcp://127.0.0.1:1", "--patience", "1"), 3, "scheduler-unreachable"),
    (("--scheduler", "tls://127.0.0.1:1", "--patience", "1"), 2, "certificates-missing"),
    (("--engine", "threads"), 2, "usage"),
]


@pytest.mark.parametrize(
    ("words", "status", "name", "words_of_command"),
    [
        pytest.param(*case, words, marks=[pytest.mark.slow] if (number + place) % 2 else [])
        for number, case in enumerate(SAID_AT_ONCE)
        for place, words in enumerate((ends.MIGRATE, ("verify", "--json")))
    ],
)
def test_what_cannot_be_meant_or_reached_is_told_in_words(
    words: tuple[str, ...], status: int, name: str, words_of_command: tuple[str, ...], tmp_path: Path
) -> None:
    corpus.make_store(tmp_path / "data", {"alpha": 4})
    done = command.run(*words_of_command, "--from", tmp_path / "data", "--to", f"{tmp_path}/out/", *words)
    error = done.expect(status).json()["error"]
    assert error["name"] == name
