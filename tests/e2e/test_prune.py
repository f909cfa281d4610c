"""`prune` through the installed command: what goes, what stays and why, and all that makes it refuse."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.servers import S3Server

ORGANIZATIONS = {"alpha": 60, "b1": 20}
ALL = 80


class Scene:
    """Raw files that were moved from disk to S3, and the words for both ends."""

    def __init__(self, server: S3Server, names: FreshNames, folder: Path) -> None:
        self.server, self.naming, self.data = server, ends.single(names), folder / "data"
        corpus.make_store(self.data, ORGANIZATIONS, sizes=3_000)
        self.bucket = ends.template(self.naming)
        self.migrate(self.data, self.bucket)

    def migrate(self, source: Any, target: Any) -> None:
        command.run(*ends.MIGRATE, "--from", source, "--to", target, env=self.server.env()).expect(0)

    def prune(self, *more: str, status: int = 0, env: dict[str, str] | None = None, back: bool = False) -> Any:
        source, target = (self.bucket, self.data) if back else (self.data, self.bucket)
        words = ("prune", "--json", "--from", source, "--to", target, *more)
        settings = env if env is not None else self.switched(back=back)
        return command.run(*words, env={**self.server.env(), **settings}).expect(status).json()

    def switched(self, *, back: bool = False) -> dict[str, str]:
        """Bytes' settings after the switch: it reads at the target."""
        return {"BYTES_DATA_DIR": str(self.data)} if back else ends.settings(self.naming)

    def paths(self) -> list[Path]:
        return sorted(Path(path) for path in oracle.disk_paths(self.data).values())

    def damage(self, path: Path) -> str:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        return path.name


def files(told: Any) -> dict[str, int]:
    return {name: count["files"] for name, count in told["totals"].items() if count["files"]}


@pytest.fixture
def scene(weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> Scene:
    return Scene(weed, fresh_names, tmp_path)


def test_without_a_number_it_only_says_what_would_go(scene: Scene, tmp_path: Path) -> None:
    damaged = scene.damage(scene.paths()[7])
    state = tmp_path / "state"
    with oracle.nothing_written(scene.data):
        told = scene.prune("--state-dir", str(state), status=1)
    assert told["dry_run"]
    assert files(told) == {"discovered": ALL, "deletable": ALL - 1, "kept": 1}
    assert [problem["id"] for problem in told["problems"]] == [damaged]
    assert told["manifest"] is None
    assert not state.exists()


def test_what_is_proven_goes_and_what_is_not_stays_and_is_named(scene: Scene) -> None:
    altered = {scene.damage(path) for path in scene.paths()[::10]}
    shorter, missing = scene.paths()[1], scene.paths()[2]
    shorter.write_bytes(b"shorter")
    at_target = ends.key_of(scene.naming, missing.parts[-3], missing.name)
    scene.server.client().delete_object(Bucket=scene.naming.bucket, Key=at_target)
    kept = altered | {shorter.name, missing.name}
    stray = shorter.with_name("notes.txt")
    stray.write_bytes(b"no raw file")
    before = oracle.s3_state(scene.server.client(), scene.naming)
    went = {(owner, raw_id) for owner, raw_id in oracle.disk_paths(scene.data) if raw_id not in kept}
    told = scene.prune("--confirm", str(ALL - len(kept)), status=1)
    assert files(told) == {"discovered": ALL, "deletable": len(went), "deleted": len(went), "kept": len(kept)}
    assert {problem["id"] for problem in told["problems"]} == kept
    assert all(problem["reason"] for problem in told["problems"])
    assert {raw_id for _, raw_id in oracle.disk_paths(scene.data)} == kept
    assert stray.exists()
    assert told["strays"] == 1
    assert not [folder for folder, names, found in os.walk(scene.data) if not names and not found], "empty folders go"
    assert oracle.s3_state(scene.server.client(), scene.naming) == before
    listed = [
        line.split("  ")[1]
        for path in Path(told["manifest"]).glob("*.sha256")
        for line in path.read_text().splitlines()
    ]
    assert sorted(listed) == sorted(f"{owner}/{raw_id[:3]}/{raw_id}" for owner, raw_id in went)


def test_a_number_that_is_not_the_number_deletes_nothing(scene: Scene) -> None:
    for number in ("1", str(ALL + 1)):
        told = scene.prune("--confirm", number, status=3)
        assert told["error"]["name"] == "confirm-differs"
    assert len(scene.paths()) == ALL


def test_too_many_delete_nothing(scene: Scene) -> None:
    told = scene.prune("--confirm", str(ALL), "--max-delete", str(ALL - 1), status=3)
    assert told["error"]["name"] == "too-many-to-delete"
    assert len(scene.paths()) == ALL
    assert files(scene.prune("--confirm", str(ALL), "--max-delete", str(ALL)))["deleted"] == ALL
    assert scene.paths() == []


@pytest.mark.parametrize("how", ["environment", "env file"])
def test_while_bytes_reads_the_source_nothing_goes(how: str, scene: Scene, tmp_path: Path) -> None:
    setting = {"BYTES_DATA_DIR": str(scene.data)}
    if how == "environment":
        told = scene.prune("--confirm", str(ALL), status=3, env=setting)
    else:
        path = ends.write_env_file(tmp_path / "bytes.env", setting)
        told = scene.prune("--confirm", str(ALL), "--env-file", str(path), status=3, env={})
    assert told["error"]["name"] == "bytes-reads-the-source"
    assert len(scene.paths()) == ALL
    switched = {**setting, **ends.settings(scene.naming)}
    assert files(scene.prune("--confirm", str(ALL), env=switched))["deleted"] == ALL


def test_only_an_organization(scene: Scene) -> None:
    told = scene.prune("--organization", "b1", "--confirm", "20")
    assert files(told) == {"discovered": 20, "deletable": 20, "deleted": 20}
    assert {owner for owner, _ in oracle.disk_paths(scene.data)} == {"alpha"}


def test_only_what_is_old(scene: Scene) -> None:
    old = scene.paths()[:5]
    for path in old:
        os.utime(path, (1_600_000_000, 1_600_000_000))
    told = scene.prune("--older-than", "2021-01-01", "--confirm", "5")
    assert files(told) == {"discovered": 5, "deletable": 5, "deleted": 5}
    assert not any(path.exists() for path in old)
    assert len(scene.paths()) == ALL - 5


def test_from_s3_objects_go_in_batches(scene: Scene) -> None:
    """The way back: what is on disk again goes from the bucket; what else lies there stays."""
    client = scene.server.client()
    client.put_object(Bucket=scene.naming.bucket, Key="alpha/notes.txt", Body=b"no raw file")
    altered = scene.damage(scene.paths()[3])
    before = oracle.disk_state(scene.data)
    told = scene.prune("--confirm", str(ALL - 1), status=1, back=True)
    assert files(told) == {"discovered": ALL, "deletable": ALL - 1, "deleted": ALL - 1, "kept": 1}
    left = oracle.keys(client, scene.naming.bucket)
    assert sorted(key.rpartition("/")[2] for key in left) == sorted([altered, "notes.txt"])
    assert oracle.disk_state(scene.data) == before


def test_two_names_for_one_place_are_found_out(scene: Scene) -> None:
    """The same bucket by another name of its server: all is equal, and there is only one of each."""
    other = scene.server.endpoint_url.replace("127.0.0.1", "localhost")
    env_file = ends.write_env_file(
        scene.data.parent / "other.env", {"AWS_ENDPOINT_URL": other}, ends.settings(scene.naming)
    )
    words = ("prune", "--json", "--confirm", str(ALL), "--from", scene.bucket, "--to", env_file)
    told = command.run(*words, env={**scene.server.env(), **scene.switched(back=True)}).expect(3).json()
    assert told["error"]["name"] == "same-place"
    assert len(oracle.keys(scene.server.client(), scene.naming.bucket)) == ALL


def test_two_names_for_one_place_are_found_out_where_all_is_large(scene: Scene) -> None:
    client, bucket = scene.server.client(), scene.naming.bucket
    for key in oracle.keys(client, bucket):
        client.delete_object(Bucket=bucket, Key=key)
    large = ends.key_of(scene.naming, "alpha", scene.paths()[0].name)
    client.put_object(Bucket=bucket, Key=large, Body=bytes(17 << 20))
    other = scene.server.endpoint_url.replace("127.0.0.1", "localhost")
    env_file = ends.write_env_file(
        scene.data.parent / "other.env", {"AWS_ENDPOINT_URL": other}, ends.settings(scene.naming)
    )
    words = ("prune", "--json", "--confirm", "1", "--from", scene.bucket, "--to", env_file)
    told = command.run(*words, env={**scene.server.env(), **scene.switched(back=True)}).expect(3).json()
    assert told["error"]["name"] == "same-place"
    assert oracle.keys(client, bucket) == [large]


def test_versions_are_said(moto: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    scene = Scene(moto, fresh_names, tmp_path)
    moto.client().put_bucket_versioning(Bucket=scene.naming.bucket, VersioningConfiguration={"Status": "Enabled"})
    told = scene.prune(back=True)
    assert ends.findings(told)["bucket-versioned"]["status"] == "warning"


def test_without_a_terminal_and_a_number_nothing_goes_whatever_is_said(scene: Scene) -> None:
    assert scene.prune("--yes")["dry_run"]
    assert len(scene.paths()) == ALL


# --- held at the place ----------------------------------------------------------------------------------------------


LOCKS = ".bytes-migrator-lock/"


def marks(scene: Scene) -> list[str]:
    listed = scene.server.client().list_objects_v2(Bucket=scene.naming.bucket, Prefix=LOCKS)
    return [found["Key"] for found in listed.get("Contents", ())]


def test_a_kill_leaves_a_mark_that_every_run_reports_and_the_told_command_removes(scene: Scene, tmp_path: Path) -> None:
    """Each run has a state folder of its own, as root and kat have, or two machines."""
    words = ("prune", "--json", "--from", scene.bucket, "--to", str(scene.data))
    env = {**scene.server.env(), **scene.switched(back=True)}
    slowly = ("--confirm", str(ALL), "--bandwidth", "1kB/s", "--state-dir", str(tmp_path / "killed"))
    with command.start(*words, *slowly, env=env) as process:
        assert process.wait_for(lambda: len(marks(scene)) == 2)
        process.kill()
    again = (*words, "--state-dir", str(tmp_path / "again"))
    told = command.run(*again, "--confirm", str(ALL), env=env).expect(4).json()["error"]
    assert told["name"] == "place-busy"
    assert "ago" in told["what"]
    assert "was killed" in told["why"]
    assert scene.bucket.split("/")[2] in told["what"]
    looked = command.run(*again, env=env).expect(0).json()
    assert ends.findings(looked)["place-busy"]["cure"].startswith("Wait")
    copy = (*ends.MIGRATE, "--from", scene.bucket, "--to", tmp_path / "third", "--state-dir", tmp_path / "third state")
    assert command.run(*copy, env=env).expect(4).json()["error"]["name"] == "place-busy"
    removes = shlex.split(told["cure"].partition("remove its mark: bytes-migrator ")[2])
    assert removes[-2] == "--break-lock"
    assert files(command.run(*removes, env=env).expect(0).json())["deleted"] == ALL
    assert oracle.keys(scene.server.client(), scene.naming.bucket) == []
    assert marks(scene) == []


def test_a_worker_that_is_killed_ends_it_with_the_places_free_again(scene: Scene, tmp_path: Path) -> None:
    words = ("prune", "--json", "--from", scene.data, "--to", scene.bucket, "--confirm", str(ALL))
    env = {**scene.server.env(), **scene.switched()}
    with command.start(*words, "--bandwidth", "1kB/s", "--state-dir", tmp_path / "killed", env=env) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        assert process.wait_for(lambda: marks(scene) and children.read_text())
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        told = process.finish().expect(3).json()
    assert told["error"]["name"] == "worker-died"
    assert len(scene.paths()) == ALL
    assert marks(scene) == []
    assert files(scene.prune("--confirm", str(ALL)))["deleted"] == ALL


@pytest.mark.parametrize("on_s3", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_at_once_in_opposite_directions_lose_nothing(scene: Scene, tmp_path: Path, on_s3: bool) -> None:
    other = tmp_path / "other"
    scene.migrate(scene.data, other)
    places = (scene.bucket, f"s3://{scene.naming.bucket}-b/{{organization}}") if on_s3 else (scene.data, other)
    if on_s3:
        scene.migrate(scene.data, places[1])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    env = {**scene.server.env(), "BYTES_DATA_DIR": str(elsewhere)}

    def start(number: int) -> command.Process:
        end = ("--from", places[number], "--to", places[1 - number], "--state-dir", tmp_path / f"state{number}")
        return command.start("prune", "--json", *end, "--confirm", str(ALL), env=env)

    with start(0) as one, start(1) as two:
        ended = [process.finish() for process in (one, two)]
    assert any(done.status == 0 for done in ended), ended
    assert all(done.status in (0, 3, 4) for done in ended), ended
    if on_s3:
        left = [
            {tuple(key.rsplit("/", 1)) for key in oracle.keys(scene.server.client(), scene.naming.bucket + suffix)}
            for suffix in ("", "-b")
        ]
    else:
        left = [set(oracle.disk_paths(place)) for place in (scene.data, other)]
    assert len(left[0] | left[1]) == ALL


def test_one_that_only_looks_writes_no_mark(moto: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    """The bucket keeps versions, so that a mark that was removed again would be seen."""
    scene = Scene(moto, fresh_names, tmp_path)
    client = moto.client()
    client.put_bucket_versioning(Bucket=scene.naming.bucket, VersioningConfiguration={"Status": "Enabled"})
    scene.prune(back=True)
    found = client.list_object_versions(Bucket=scene.naming.bucket)
    assert len(found["Versions"]) == ALL
    assert "DeleteMarkers" not in found


@pytest.mark.parametrize("words", [ends.MIGRATE, ("watch", "--yes", "--json", "--until-idle", "1")])
def test_a_copy_holds_the_folder_that_it_reads(scene: Scene, tmp_path: Path, words: tuple[str, ...]) -> None:
    """So no prune begins there meanwhile; and none that began there is run over."""
    descriptor = os.open(scene.data, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        done = command.run(
            *words, "--from", scene.data, "--to", scene.bucket, "--state-dir", tmp_path / "mine", env=scene.server.env()
        ).expect(4)
    finally:
        os.close(descriptor)
    assert done.json()["error"]["name"] == "place-busy"
