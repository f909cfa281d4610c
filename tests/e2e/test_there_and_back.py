"""Disk, S3, another S3, another disk: what arrives is what was there, to the byte and to the mode."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import LARGE, MIGRATE
from tests.e2e.gate import gate_before
from tests.servers import S3Server

ORGANIZATIONS = {"alpha": 70, "alpha-2": 45, "b1": 20, "zaandam": 8}


def there_and_back(server: S3Server, naming: oracle.Naming, data: Path, fresh: Path, *, timeout: float = 120) -> None:
    """Disk → S3 → an empty disk, and a second run of each, which must find nothing to do."""
    expected = oracle.disk_state(data)
    settings = {**server.env(), **ends.settings(naming)}
    forth = {**settings, "BYTES_DATA_DIR": str(data)}
    with oracle.nothing_written(data):
        document = command.run(*MIGRATE, "--to", "s3", env=forth, timeout=timeout).expect(0).json()
        oracle.assert_adds_up(document)
        assert ends.files(document)["copied"] == len(expected)
        assert document["totals"]["copied"]["bytes"] == sum(seen.size for seen in expected.values())
        oracle.assert_same_contents(expected, oracle.s3_state(server.client(), naming))
        assert_copies_nothing(command.run("migrate", "--yes", "--to", "s3", env=forth, timeout=timeout), len(expected))
    back = {**settings, "BYTES_DATA_DIR": str(fresh)}
    document = command.run(*MIGRATE, "--to", "disk", env=back, timeout=timeout).expect(0).json()
    oracle.assert_adds_up(document)
    assert ends.files(document) == {"discovered": len(expected), "copied": len(expected)}
    oracle.assert_same(expected, oracle.disk_state(fresh))
    assert_copies_nothing(command.run("migrate", "--yes", "--to", "disk", env=back, timeout=timeout), len(expected))
    assert ends.everything_below(fresh) == ends.raw_file_paths(fresh), "something else was left at the target"
    assert set(oracle.folder_modes(fresh)) == {f"{corpus.FOLDER_MODE:o}"}


def assert_copies_nothing(completed: command.Completed, files: int) -> None:
    said = completed.expect(0).stdout
    assert f"Nothing to copy: all {files:,} files" in said, completed


def test_disk_to_s3_to_an_empty_disk_is_identical(
    server: S3Server, naming: oracle.Naming, data: Path, tmp_path: Path
) -> None:
    store = ends.make_varied_store(data, ORGANIZATIONS, large=1)
    strays = corpus.add_strays(data, "alpha")
    assert any(path.stat().st_size == 0 for path in map(Path, oracle.disk_paths(data).values()))
    there_and_back(server, naming, data, tmp_path / "fresh")
    client = server.client()
    keys = [(bucket, key) for bucket in _buckets(client, naming) for key in oracle.keys(client, bucket)]
    raw_files = oracle.disk_paths(data)
    expected = [(ends.bucket_of(naming, name), ends.key_of(naming, name, raw_id)) for name, raw_id in raw_files]
    assert sorted(keys) == sorted(expected), "strays, probes or empty buckets are at the target"
    assert len(strays) > 20
    assert store.large[0][2] == LARGE


def _buckets(client: object, naming: oracle.Naming) -> list[str]:
    return [naming.bucket] if isinstance(naming, oracle.Single) else oracle.buckets(client, naming.prefix)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_thousand_files_there_and_back(
    server: S3Server, naming: oracle.Naming, data: Path, tmp_path: Path
) -> None:
    corpus.make_store(data, total=20_000, large=[LARGE, 64 * corpus.MIB])
    there_and_back(server, naming, data, tmp_path / "fresh", timeout=600)


@pytest.mark.parametrize("organizations", [{"a": 30, "a-b": 30, "a-b-c": 10}, {"gemeente-éé": 30, "市": 20, "a_b": 10}])
def test_awkward_organizations_in_a_single_bucket(
    organizations: dict[str, int], server: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, organizations)
    naming = ends.single(fresh_names)
    there_and_back(server, naming, data, tmp_path / "fresh")


def test_sibling_organizations_resume_from_any_state(server: S3Server, naming: oracle.Naming, data: Path) -> None:
    """`a/…` and `a-b/…` sort the other way round as keys: what is half there is completed, and counted for its own organization."""
    ends.make_varied_store(data, {"a": 30, "a-b": 30})
    names, client = sorted(oracle.disk_paths(data)), server.client()
    contents = {(name, raw_id): (data / name / raw_id[:3] / raw_id).read_bytes() for name, raw_id in names[::2]}
    ends.put_many(client, naming, contents)
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    document = command.run(*MIGRATE, "--to", "s3", env=env).expect(0).json()
    oracle.assert_adds_up(document)
    for organization in ("a", "a-b"):
        assert ends.row(document, organization) == {"discovered": 30, "present": 15, "copied": 15}
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(server.client(), naming))


RENAMED: dict[str, Callable[[FreshNames], tuple[oracle.Naming, oracle.Naming]]] = {
    "single to per organization": lambda names: (ends.single(names), ends.per_organization(names)),
    "per organization to single": lambda names: (ends.per_organization(names), ends.single(names)),
    "another prefix": lambda names: (ends.per_organization(names), ends.per_organization(names.another())),
    "another bucket": lambda names: (ends.single(names), ends.single(names.another())),
}


@pytest.mark.parametrize("ends_of", RENAMED.values(), ids=RENAMED.keys())
def test_a_change_of_names_is_copied_by_the_server_itself(
    ends_of: Callable[[FreshNames], tuple[oracle.Naming, oracle.Naming]],
    weed: S3Server,
    fresh_names: FreshNames,
    data: Path,
) -> None:
    before, after = ends_of(fresh_names)
    store = corpus.make_store(data, {"alpha": 12, "alpha-2": 12}, sizes=corpus.MIB)
    command.run(*MIGRATE, "--from", data, "--to", ends.template(before), env=weed.env()).expect(0)
    with gate_before(weed) as gate:
        words = ("--from", ends.template(before), "--to", ends.template(after))
        document = command.run(*MIGRATE, *words, env=gate.server.env()).expect(0).json()
        assert gate.requests > store.files, "nothing went through the gate"
        assert gate.bytes_passed < store.bytes // 10, "contents passed through this machine"
        oracle.assert_adds_up(document)
        assert ends.files(document) == {"discovered": store.files, "copied": store.files}
        assert_copies_nothing(command.run("migrate", "--yes", *words, env=gate.server.env()), store.files)
    for naming in (before, after):
        oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(weed.client(), naming))


def test_a_multipart_object_gets_through_a_change_of_names(
    server: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    before, after = ends.single(fresh_names), ends.per_organization(fresh_names)
    ends.make_varied_store(data, {"alpha": 5}, large=1)
    command.run(*MIGRATE, "--from", data, "--to", ends.template(before), env=server.env()).expect(0)
    words = ("--from", ends.template(before), "--to", ends.template(after))
    assert ends.files(command.run(*MIGRATE, *words, env=server.env()).expect(0).json())["copied"] == 6
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(server.client(), after))
    assert_copies_nothing(command.run("migrate", "--yes", *words, env=server.env()), 6)


def test_from_one_server_to_another_with_two_env_files(
    weed: S3Server, moto: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    before, after = ends.single(fresh_names), ends.per_organization(fresh_names)
    ends.make_varied_store(data, {"alpha": 40, "b1": 20}, large=1)
    old = ends.write_env_file(tmp_path / "old.env", weed.env(), ends.settings(before))
    new = ends.write_env_file(tmp_path / "new.env", moto.env(), ends.settings(after))
    command.run(*MIGRATE, "--from", data, "--to", old).expect(0)
    document = command.run(*MIGRATE, "--from", old, "--to", new).expect(0).json()
    oracle.assert_adds_up(document)
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(moto.client(), after))
    assert_copies_nothing(command.run("migrate", "--yes", "--from", old, "--to", new), 61)
    assert oracle.s3_state(weed.client(), before) == oracle.s3_state(moto.client(), after)


def test_disk_to_disk(data: Path, tmp_path: Path) -> None:
    store = ends.make_varied_store(data, ORGANIZATIONS, large=1)
    strays = corpus.add_strays(data, "alpha")
    fresh = tmp_path / "fresh"
    with oracle.nothing_written(data):
        document = command.run(*MIGRATE, "--from", data, "--to", fresh).expect(0).json()
        oracle.assert_adds_up(document)
        assert ends.files(document) == {"discovered": store.files, "copied": store.files, "stray": len(strays)}
        assert_copies_nothing(command.run("migrate", "--yes", "--from", data, "--to", fresh), store.files)
    oracle.assert_same(oracle.disk_state(data), oracle.disk_state(fresh))
    assert ends.everything_below(fresh) == ends.raw_file_paths(fresh)
    assert set(oracle.folder_modes(fresh)) == {f"{corpus.FOLDER_MODE:o}"}


@pytest.mark.row(29)
def test_modes_are_those_that_bytes_is_set_to_whatever_the_umask(data: Path, tmp_path: Path) -> None:
    ends.make_varied_store(data, {"alpha": 10})
    fresh = tmp_path / "fresh"
    env = {"BYTES_FILE_PERMISSION": "664", "BYTES_FOLDER_PERMISSION": "775"}
    before = os.umask(0o077)
    try:
        command.run(*MIGRATE, "--from", data, "--to", fresh, env=env).expect(0)
    finally:
        os.umask(before)
    assert {seen.mode for seen in oracle.disk_state(fresh).values()} == {0o664}
    assert set(oracle.folder_modes(fresh)) == {"775"}


@pytest.mark.row(30)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_as_root_files_belong_to_the_data_folders_owner(data: Path, tmp_path: Path) -> None:
    ends.make_varied_store(data, {"alpha": 10})
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    os.chown(fresh, 1234, 2345)
    command.run(*MIGRATE, "--from", data, "--to", fresh, env={"BYTES_MIGRATOR_OWNER": None}).expect(0)
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in fresh.rglob("*")}
    assert owners == {(1234, 2345)}


@pytest.mark.row(55)
def test_a_server_without_conditional_writes_is_told_of_and_served(
    rclone: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    naming = ends.single(fresh_names)
    store = ends.make_varied_store(data, {"alpha": 60, "alpha-2": 30}, large=1)
    env_file = ends.write_env_file(
        tmp_path / "bytes.env", rclone.env(), ends.settings(naming), {"BYTES_DATA_DIR": str(data)}
    )
    document = command.run(*MIGRATE, "--env-file", env_file, "--to", "s3").expect(0).json()
    oracle.assert_adds_up(document)
    assert ends.files(document) == {"discovered": store.files, "copied": store.files}
    abilities = ends.findings(document)["server-abilities"]
    assert abilities["status"] == "warning"
    assert "If-None-Match" in abilities["seen"]
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(rclone.client(), naming))
    fresh = tmp_path / "fresh"
    back = ends.write_env_file(tmp_path / "disk.env", {"BYTES_DATA_DIR": str(fresh)})
    command.run(*MIGRATE, "--from", env_file, "--to", back).expect(0)
    oracle.assert_same(oracle.disk_state(data), oracle.disk_state(fresh))
    again = command.run("migrate", "--yes", "--env-file", env_file, "--to", "s3")
    assert_copies_nothing(again, store.files)
