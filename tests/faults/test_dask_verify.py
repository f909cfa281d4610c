"""A verification over a Dask cluster: it finds what one machine finds, and counts nothing twice, whatever is killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import command
from tests.dask_cluster import Cluster
from tests.e2e import ends
from tests.e2e.test_verify import Damage, adds_up, check, found
from tests.faults.dask_scene import FILES, Move, elsewhere

VERIFY = ("verify", "--json")
TOTAL = sum(FILES.values())


@pytest.fixture
def moved(move: Move) -> Move:
    """All of it is at the target."""
    local = (*ends.MIGRATE, *move.between(), "--settle", "0", "--state-dir", move.folder / "state")
    command.run(*local, env=move.env).expect(0)
    return move


def damaged(move: Move) -> Damage:
    damage = Damage(move.data)
    for (organization, raw_id), content in damage.contents().items():
        if content is None:
            key = ends.key_of(move.naming, organization, raw_id)
            move.client.delete_object(Bucket=move.naming.bucket, Key=key)
        else:
            ends.put(move.client, move.naming, organization, raw_id, content)
    return damage


def told(document: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same whoever did the work."""
    same = ("totals", "problems_total", "organizations", "level", "proves", "seed", "sampled_from")
    problems = sorted((each["kind"], each["id"], each["reason"]) for each in document["problems"])
    return {**{name: document[name] for name in same if name in document}, "problems": problems}


@pytest.mark.parametrize("level", ["etag", pytest.param("content", marks=pytest.mark.slow)])
def test_every_engine_finds_the_same_damage(level: str, moved: Move) -> None:
    damage = damaged(moved)
    words = (*VERIFY, *moved.between(), "--level", level, "--state-dir", str(moved.folder / "state"))
    answers = [
        command.run(*words, "--engine", engine, env=moved.env).expect(1).json()
        for engine in ("local", "processes", "dask")
    ]
    check(damage, answers[0], level, TOTAL)
    assert told(answers[0]) == told(answers[1]) == told(answers[2])


@pytest.mark.slow
def test_a_manifest_and_a_sample_are_the_same_over_dask(
    moved: Move, start: Callable[[int], Cluster], tmp_path: Path
) -> None:
    members = start(2)
    words = (*VERIFY, *moved.between(), "--level", "content")
    for name, over in (("here", ("--engine", "local")), ("there", moved.over(members))):
        document = command.run(*words, *over, "--manifest", tmp_path / name, env=moved.env).expect(0).json()
        assert ends.files(document) == {"discovered": TOTAL, "proven": TOTAL}
    written = {path.name: path.read_text() for path in (tmp_path / "there").iterdir()}
    assert set(written) == {f"{name}{kind}" for name in FILES for kind in (".sha256", ".ndjson")}
    for name in FILES:
        assert written[f"{name}.sha256"] == (tmp_path / "here" / f"{name}.sha256").read_text()
    against = (*VERIFY, "--to", ends.template(moved.naming), "--against", str(tmp_path / "here"), *moved.over(members))
    assert ends.files(command.run(*against, env=moved.env).expect(0).json()) == {"discovered": TOTAL, "proven": TOTAL}
    sampled = (*VERIFY, *moved.between(), "--sample", "50")
    here = command.run(*sampled, "--engine", "local", env=moved.env).expect(0).json()
    there = command.run(*sampled, *moved.over(members), env=moved.env).expect(0).json()
    assert ends.files(here) == {"discovered": 50, "proven": 50}
    assert told(here) == told(there)


def test_a_worker_killed_in_mid_verify_costs_nothing_and_nothing_counts_twice(
    moved: Move, start: Callable[[int], Cluster], tmp_path: Path
) -> None:
    damage = damaged(moved)
    members = start(1)
    second = members.start_worker("second")
    members.wait_for_workers(2)
    moved.gate.hold_after(200, "GET")
    folder = tmp_path / "manifest"
    words = (*VERIFY, *moved.between(), "--level", "content", "--manifest", str(folder), *moved.over(members))
    with command.start(*words, env=moved.env) as process:
        assert process.wait_for(moved.gate.is_holding), process.output_so_far()
        members.kill(second)
        moved.gate.release()
        document = process.finish().expect(1).json()
    check(damage, document, "content", TOTAL)
    assert document["problems_total"] == sum(map(len, found(document).values()))
    listed = [line for path in folder.glob("*.sha256") for line in path.read_text().splitlines()]
    assert len(listed) == len(set(listed)) == document["totals"]["proven"]["files"]


def test_a_worker_that_does_not_see_the_folder_that_is_verified_calls_nothing_missing(
    move: Move, start: Callable[[int], Cluster], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    command.run(*ends.MIGRATE, "--from", move.data, "--to", f"{there}/", "--settle", "0").expect(0)
    members = start(1)
    members.start_worker("blind", before=elsewhere(there))
    members.wait_for_workers(2)
    words = (*VERIFY, "--from", str(move.data), "--to", f"{there}/", *move.over(members))
    document = command.run(*words).expect(0).json()
    adds_up(document)
    assert ends.files(document) == {"discovered": TOTAL, "proven": TOTAL}
    [finding] = [finding for finding in document["findings"] if finding["name"] == "worker-left-out"]
    assert "blind" in finding["seen"]
    assert str(there) in finding["seen"]


def test_a_worker_with_another_manifest_gets_no_work(
    moved: Move, start: Callable[[int], Cluster], tmp_path: Path
) -> None:
    folder = tmp_path / "manifest"
    command.run(*VERIFY, *moved.between(), "--level", "content", "--manifest", folder, env=moved.env).expect(0)
    members = start(0)
    members.start_worker("blind", before=elsewhere(folder))
    members.wait_for_workers(1)
    against = (*VERIFY, "--to", ends.template(moved.naming), "--against", str(folder), *moved.over(members))
    error = command.run(*against, env=moved.env).expect(3).json()["error"]
    assert error["name"] == "no-worker-fits"
    assert str(folder) in error["what"]
