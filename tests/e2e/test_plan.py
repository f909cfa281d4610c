"""`plan` says what a migration would do, and writes nothing anywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE, PLAN
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

RAW_ID = "0123abcd-1111-4222-8333-444455556666"
OTHER_ID = "fedc9876-1111-4222-8333-444455556666"


@contextlib.contextmanager
def nothing_written_anywhere(server: S3Server, names: FreshNames, *roots: Path) -> Iterator[None]:
    client = server.client()
    before = oracle.s3_snapshot(client, names.bucket, names.prefix, "OpenKAT")
    with oracle.nothing_written(*roots):
        yield
    assert oracle.s3_snapshot(client, names.bucket, names.prefix, "OpenKAT") == before


def settings_of(server: S3Server, naming: oracle.Naming, data: Path) -> dict[str, str]:
    return {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}


def test_a_plan_tells_everything_and_writes_nothing(
    server: S3Server, naming: oracle.Naming, fresh_names: FreshNames, data: Path, state: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 30, "b1": 20})
    corpus.add_raw_file(data, "alpha", b"same size, A", RAW_ID)
    corpus.add_raw_file(data, "alpha", b"another size", OTHER_ID)
    client = server.client()
    ends.put(client, naming, "alpha", RAW_ID, b"same size, B")
    ends.put(client, naming, "alpha", OTHER_ID, b"")
    ends.put(client, naming, "alpha", OTHER_ID.replace("fedc", "aaaa"), b"only here")
    env = settings_of(server, naming, data)
    with nothing_written_anywhere(server, fresh_names, tmp_path, state):
        done = command.run(*PLAN, "--to", "s3", env=env).expect(1)
        text = command.run("plan", "--to", "s3", env=env).expect(1).stdout
        dry = command.run("migrate", "--dry-run", "--json", "--to", "s3", env=env).expect(1)
    document = done.json()
    oracle.assert_adds_up(document)
    assert document["dry_run"] is True
    assert ends.files(document) == {"discovered": 52, "missing": 50, "present": 1, "conflict": 1, "extra": 1}
    assert ends.row(document, "alpha") == {"discovered": 32, "missing": 30, "present": 1, "conflict": 1, "extra": 1}
    assert document["compared_by"] == "size"
    new = [] if isinstance(naming, oracle.Single) else [f"{naming.prefix}b1"]
    assert document["buckets_to_create"] == new
    assert [row["bucket"] for row in document["organizations"]] == [
        ends.bucket_of(naming, organization) for organization in ("alpha", "b1")
    ]
    assert [problem["id"] for problem in ends.problems(document, "conflict")] == [OTHER_ID]
    assert "Compared by size only" in text
    assert "Nothing was written" in text
    assert "requests to S3" in text
    assert not state.exists()
    assert dry.json()["totals"] == document["totals"]


def test_a_plan_beside_a_ledger_leaves_it_as_it_is(
    server: S3Server, fresh_names: FreshNames, data: Path, state: Path, tmp_path: Path
) -> None:
    naming = ends.single(fresh_names)
    ends.make_varied_store(data, {"alpha": 20})
    env = settings_of(server, naming, data)
    command.run(*MIGRATE, "--to", "s3", env=env).expect(0)
    corpus.add_raw_file(data, "alpha")
    assert oracle.tree_snapshot(state)
    with nothing_written_anywhere(server, fresh_names, tmp_path, state):
        document = command.run(*PLAN, "--to", "s3", env=env).expect(0).json()
        command.run("status", "--json", env=env).expect(0)
    assert ends.files(document) == {"discovered": 21, "present": 20, "missing": 1}


def test_everything_at_an_empty_target_is_missing_and_all_buckets_would_be_created(
    server: S3Server, naming: oracle.Naming, fresh_names: FreshNames, data: Path, state: Path, tmp_path: Path
) -> None:
    store = corpus.make_store(data, total=120)
    with nothing_written_anywhere(server, fresh_names, tmp_path, state):
        document = command.run(*PLAN, "--to", "s3", env=settings_of(server, naming, data)).expect(0).json()
    oracle.assert_adds_up(document)
    assert ends.files(document) == {"discovered": 120, "missing": 120}
    assert document["totals"]["missing"]["bytes"] == store.bytes
    buckets = {ends.bucket_of(naming, organization) for organization in store.organizations}
    assert set(document["buckets_to_create"]) == buckets


def test_a_plan_back_to_a_disk_that_does_not_exist_makes_no_folder(
    weed: S3Server, naming: oracle.Naming, data: Path, tmp_path: Path, state: Path
) -> None:
    ends.put(weed.client(), naming, "alpha", RAW_ID, b"content")
    env = {**weed.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    with oracle.nothing_written(tmp_path, state):
        document = command.run(*PLAN, "--to", "disk", env=env).expect(0).json()
    assert ends.files(document) == {"discovered": 1, "missing": 1}
    assert not data.exists()


@pytest.mark.row(22, 24, 26, 27, 28)
def test_strays_of_every_kind_are_told_and_never_moved(
    server: S3Server, naming: oracle.Naming, fresh_names: FreshNames, data: Path, state: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 40, "b1": 10})
    strays = corpus.add_strays(data, "alpha")
    names, client = sorted(oracle.disk_paths(data)), server.client()
    assert len(names) == 50
    for organization, raw_id in names[::3]:  # both streams of the merge have something in them
        ends.put(client, naming, organization, raw_id, (data / organization / raw_id[:3] / raw_id).read_bytes())
    env = settings_of(server, naming, data)
    with nothing_written_anywhere(server, fresh_names, tmp_path, state):
        document = command.run(*PLAN, "--to", "s3", env=env).expect(0).json()
        text = command.run("plan", "--to", "s3", env=env).expect(0).stdout
    there = len(names[::3])
    assert ends.files(document) == {
        "discovered": 50,
        "present": there,
        "missing": 50 - there,
        "stray": len(strays),
    }
    told = {problem["where"]: problem["reason"] for problem in ends.problems(document, "stray")}
    assert set(told) == {f"{data}/{stray.path}" for stray in strays}
    assert all(told.values()), "a stray without a reason"
    assert "\x1b" not in text, "a name could steer the terminal"
    assert "Left behind: 1 symbolic link named like a raw file." in text
    assert "Left behind: 5 folders with raw files whose name no organization can have." in text
    done = command.run(*MIGRATE, "--to", "s3", env=env).expect(0).json()
    assert ends.files(done)["stray"] == len(strays)
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(client, naming))
    status = command.run("status", "--json", "--problems", "1000", env=env).expect(0).json()
    assert status["pairs"][0]["problems_by_kind"] == {"stray": len(strays)}


def test_what_an_earlier_sync_left_at_the_target_is_told_and_does_not_upset_the_merge(
    server: S3Server, naming: oracle.Naming, data: Path
) -> None:
    """``aws s3 sync`` keeps index folders in keys, where Bytes never looks; keys of other shapes lie between raw ids too."""
    ends.make_varied_store(data, {"alpha": 40})
    client = server.client()
    bucket = ends.bucket_of(naming, "alpha")
    ends.make_bucket(client, bucket)
    prefix = "alpha/" if isinstance(naming, oracle.Single) else ""
    names = sorted(oracle.disk_paths(data))
    left = [f"{prefix}{raw_id[:3]}/{raw_id}" for _, raw_id in names]
    left += [f"{prefix}{names[3][1]}.bak", f"{prefix}{names[5][1].replace('a', 'A')}x", f"{prefix}notes.txt"]
    left += [f"{prefix}{names[7][1]}0", f"{prefix}zzz", f"{prefix}.hidden", f"{prefix}7"]
    for key in left:
        client.put_object(Bucket=bucket, Key=key, Body=b"of an earlier sync")
    contents = {(name, raw_id): (data / name / raw_id[:3] / raw_id).read_bytes() for name, raw_id in names[::2]}
    ends.put_many(client, naming, contents)
    env = settings_of(server, naming, data)
    document = command.run(*PLAN, "--to", "s3", env=env).expect(0).json()
    oracle.assert_adds_up(document)
    assert ends.files(document) == {"discovered": 40, "present": 20, "missing": 20, "stray": len(left)}
    told = {problem["where"]: problem["reason"] for problem in ends.problems(document, "stray")}
    assert set(told) == {f"s3://{bucket}/{key}" for key in left}
    assert "index folder in its key" in told[f"s3://{bucket}/{left[0]}"]
    before = {key: size for (_, key), (size, *_) in oracle.s3_snapshot(client, bucket).items() if key in left}
    command.run(*MIGRATE, "--to", "s3", env=env).expect(0)
    after = {key: size for (_, key), (size, *_) in oracle.s3_snapshot(client, bucket).items() if key in left}
    assert before == after
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(client, naming))


REFUSED = {"my_org": "_", "gemeente-éé": "é", "o" * 32: "63", "ends-": "-"}


@pytest.mark.row(54)
@pytest.mark.parametrize("organization", ["my_org", "gemeente-éé", "ends-"])
def test_an_organization_whose_bucket_cannot_be_named_stops_a_migration(
    organization: str, server: S3Server, fresh_names: FreshNames, data: Path, state: Path, tmp_path: Path
) -> None:
    naming = ends.per_organization(fresh_names)
    ends.make_varied_store(data, {"alpha": 10, organization: 7})
    env = settings_of(server, naming, data)
    with nothing_written_anywhere(server, fresh_names, tmp_path, state):
        planned = command.run(*PLAN, "--to", "s3", env=env).expect(1).json()
        stopped = command.run(*MIGRATE, "--to", "s3", env=env).expect(3).json()
    oracle.assert_adds_up(planned)
    assert ends.files(planned) == {"discovered": 17, "missing": 10, "refused": 7}
    finding = ends.findings(planned)["bucket-names"]
    assert finding["status"] == "error"
    assert f"{naming.prefix}{organization}" in finding["seen"]
    assert stopped["error"]["name"] == "bucket-names"
    assert "--force bucket-names" in stopped["error"]["cure"]
    forced = ("--force", "bucket-names", "--force", "bytes-calls")
    moved = command.run(*MIGRATE, "--to", "s3", *forced, env=env).expect(1).json()
    oracle.assert_adds_up(moved)
    assert ends.files(moved) == {"discovered": 17, "copied": 10, "refused": 7}
    assert oracle.buckets(server.client(), naming.prefix) == [f"{naming.prefix}alpha"]


@pytest.mark.row(54)
def test_a_bucket_name_over_63_characters_is_refused(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    naming = oracle.PerOrganization(fresh_names.prefix + "x" * 20 + "-")
    ends.make_varied_store(data, {"o" * 32: 3, "b": 2})
    env = settings_of(weed, naming, data)
    document = command.run(*PLAN, "--to", "s3", env=env).expect(1).json()
    assert ends.files(document) == {"discovered": 5, "missing": 2, "refused": 3}


@pytest.mark.row(54)
def test_an_upper_case_prefix_is_refused_with_the_line_to_set(
    server: S3Server, fresh_names: FreshNames, data: Path, state: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 10})
    env = settings_of(server, oracle.PerOrganization("OpenKAT-"), data)
    with nothing_written_anywhere(server, fresh_names, tmp_path, state):
        planned = command.run(*PLAN, "--to", "s3", env=env).expect(1).json()
        stopped = command.run("migrate", "--yes", "--to", "s3", env=env).expect(3)
    assert ends.files(planned) == {"discovered": 10, "refused": 10}
    assert "upper" in stopped.stderr.lower() or "lower-case" in stopped.stderr.lower(), stopped
    assert "S3_BUCKET_PREFIX" in stopped.stderr


def test_only_a_bucket_named_is_explained_as_bytes_reads_it(
    server: S3Server, fresh_names: FreshNames, data: Path, state: Path, tmp_path: Path
) -> None:
    """``BUCKET_PER_ORG`` is true unless it is set, and then ``S3_BUCKET`` names nothing."""
    ends.make_varied_store(data, {"alpha": 10})
    env = {**server.env(), "S3_BUCKET": fresh_names.bucket, "BYTES_DATA_DIR": str(data)}
    with nothing_written_anywhere(server, fresh_names, tmp_path, state):
        planned = command.run(*PLAN, "--to", "s3", env=env).expect(1)
        text = command.run("plan", "--to", "s3", env=env).expect(1).stdout
        command.run("migrate", "--yes", "--to", "s3", env=env).expect(3)
    assert "OpenKAT-alpha" in text
    assert "BUCKET_PER_ORG=false" in text
    trap = [one for one in planned.json()["findings"] if "BUCKET_PER_ORG" in one["seen"] + one["why"] + one["cure"]]
    assert trap, "no finding explains which buckets Bytes would use"
    origins = {setting["name"]: setting for setting in planned.json()["settings"]}
    assert origins["BUCKET_PER_ORG"]["origin"] != "environment"
    fixed = command.run(*PLAN, "--to", "s3", env={**env, "BUCKET_PER_ORG": "false"}).expect(0).json()
    assert fixed["buckets_to_create"] == [fresh_names.bucket]


def test_one_organization_only(weed: S3Server, naming: oracle.Naming, data: Path) -> None:
    ends.make_varied_store(data, {"a": 10, "a-b": 12})
    env = settings_of(weed, naming, data)
    document = command.run(*MIGRATE, "--to", "s3", "--organization", "a-b", env=env).expect(0).json()
    assert ends.files(document) == {"discovered": 12, "copied": 12}
    assert {organization for organization, _ in oracle.s3_listing(weed.client(), naming)} == {"a-b"}


def test_buckets_are_not_created_when_that_is_forbidden(
    weed: S3Server, naming: oracle.Naming, fresh_names: FreshNames, data: Path, state: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 3})
    env = settings_of(weed, naming, data)
    with nothing_written_anywhere(weed, fresh_names, data, state):
        refused = command.run(*MIGRATE, "--to", "s3", "--no-create-buckets", env=env).expect(3).json()
    assert refused["error"]["name"] == "bucket-missing"
    assert ends.bucket_of(naming, "alpha") in refused["error"]["what"]
    ends.make_bucket(weed.client(), ends.bucket_of(naming, "alpha"))
    command.run(*MIGRATE, "--to", "s3", "--no-create-buckets", env=env).expect(0)


def test_a_bucket_without_raw_files_is_left_alone(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    """The organizations of a source with a bucket for each come from the list of buckets."""
    naming, client = ends.per_organization(fresh_names), weed.client()
    ends.put(client, naming, "alpha", RAW_ID, b"content")
    ends.make_bucket(client, f"{naming.prefix}backups")
    client.put_object(Bucket=f"{naming.prefix}backups", Key="dump.sql", Body=b"no raw file")
    words: tuple[Any, ...] = ("--from", ends.template(naming), "--to", data)
    document = command.run(*MIGRATE, *words, env=weed.env()).expect(0).json()
    assert ends.files(document) == {"discovered": 1, "copied": 1}
    left = ends.problems(document, "left-alone")
    assert [problem["where"] for problem in left] == [f"s3://{naming.prefix}backups"]
    assert set(oracle.disk_paths(data)) == {("alpha", RAW_ID)}
