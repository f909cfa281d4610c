"""What is at the target already is never overwritten, and what cannot be read is never passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import LARGE, MIGRATE, PLAN
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

RAW_ID = "0123abcd-1111-4222-8333-444455556666"
OTHER_ID = "fedc9876-1111-4222-8333-444455556666"

DIFFERENCES = {
    "same size, other content": (b"what the source has", b"what the target has"),
    "other size": (b"what the source has", b"shorter"),
    "nothing at the target": (b"what the source has", b""),
    "nothing at the source": (b"", b"what the target has"),
}


@pytest.mark.row(31)
@pytest.mark.parametrize(("ours", "theirs"), DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_an_object_that_differs_is_a_conflict_and_stays(
    ours: bytes, theirs: bytes, server: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    naming, client = ends.single(fresh_names), server.client()
    ends.make_varied_store(data, {"alpha": 10})
    corpus.add_raw_file(data, "alpha", ours, RAW_ID)
    ends.put(client, naming, "alpha", RAW_ID, theirs)
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    before = oracle.s3_snapshot(client, ends.bucket_of(naming, "alpha"))
    for _ in range(2):  # a second run finds the same, and does nothing else either
        document = command.run(*MIGRATE, "--to", "s3", env=env).expect(1).json()
        oracle.assert_adds_up(document)
        assert ends.files(document)["conflict"] == 1
        assert [problem["id"] for problem in ends.problems(document, "conflict")] == [RAW_ID]
    after = oracle.s3_snapshot(client, ends.bucket_of(naming, "alpha"))
    assert before.items() <= after.items()
    assert len(oracle.s3_listing(client, naming)) == 11
    status = command.run("status", env=env).expect(0).stdout
    assert RAW_ID in status
    assert "conflict" in status


@pytest.mark.row(31)
@pytest.mark.parametrize(("ours", "theirs"), DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_a_file_on_disk_that_differs_is_a_conflict_and_stays(
    ours: bytes, theirs: bytes, weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    naming = ends.single(fresh_names)
    ends.put(weed.client(), naming, "alpha", RAW_ID, ours)
    ends.put(weed.client(), naming, "alpha", OTHER_ID, b"missing on disk")
    path = corpus.add_raw_file(data, "alpha", theirs, RAW_ID)
    before = oracle.tree_snapshot(path)
    words = ("--from", ends.template(naming), "--to", data)
    document = command.run(*MIGRATE, *words, env=weed.env()).expect(1).json()
    assert ends.files(document) == {"discovered": 2, "copied": 1, "conflict": 1}
    assert oracle.tree_snapshot(path) == before
    assert path.read_bytes() == theirs


@pytest.mark.row(31)
def test_a_large_object_that_differs_in_one_byte_is_a_conflict(
    server: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    naming, client = ends.single(fresh_names), server.client()
    store = ends.make_varied_store(data, {"alpha": 2}, large=1)
    organization, raw_id, _ = store.large[0]
    content = bytearray((data / organization / raw_id[:3] / raw_id).read_bytes())
    content[LARGE // 2] ^= 1
    ends.put(client, naming, organization, raw_id, bytes(content))
    words = ("--from", data, "--to", ends.template(naming))
    document = command.run(*MIGRATE, *words, env=server.env()).expect(1).json()
    assert ends.files(document) == {"discovered": 3, "copied": 2, "conflict": 1}
    found = oracle.s3_state(client, naming)[organization, raw_id]
    assert found != oracle.disk_state(data)[organization, raw_id][:2]


@pytest.mark.row(58, 78)
def test_equal_objects_of_whatever_part_size_are_no_conflict(
    server: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    naming, client = ends.single(fresh_names), server.client()
    store = ends.make_varied_store(data, {"alpha": 2, "b1": 2}, large=2)
    ends.make_bucket(client, naming.bucket)
    for part_size, (organization, raw_id, _) in zip((5 * corpus.MIB, 7_000_000), store.large, strict=True):
        path = data / organization / raw_id[:3] / raw_id
        put_in_parts(client, naming.bucket, f"{organization}/{raw_id}", path.read_bytes(), part_size)
    words = ("--from", data, "--to", ends.template(naming))
    document = command.run(*MIGRATE, *words, env=server.env()).expect(0).json()
    assert ends.files(document) == {"discovered": 6, "copied": 4, "present": 2}


def put_in_parts(client: object, bucket: str, key: str, content: bytes, part_size: int) -> None:
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_threshold=part_size, multipart_chunksize=part_size, use_threads=False)
    import io

    client.upload_fileobj(io.BytesIO(content), bucket, key, Config=config)  # type: ignore[attr-defined]


# --- what cannot be read -----------------------------------------------------------------------------------------------


@pytest.mark.row(16)
def test_an_unreadable_file_fails_and_the_others_move(
    weed: S3Server, naming: oracle.Naming, data: Path, without_root: str
) -> None:
    ends.make_varied_store(data, {"alpha": 10})
    closed = corpus.add_raw_file(data, "alpha", b"closed", RAW_ID)
    closed.chmod(0)
    env = {**weed.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    planned = command.run(*PLAN, "--to", "s3", env=env, entry=without_root).expect(1).json()
    oracle.assert_adds_up(planned)
    assert ends.files(planned) == {"discovered": 11, "missing": 10, "failed": 1}
    for outcome in ("copied", "present"):
        document = command.run(*MIGRATE, "--to", "s3", env=env, entry=without_root).expect(1).json()
        oracle.assert_adds_up(document)
        assert ends.files(document) == {"discovered": 11, outcome: 10, "failed": 1}
        (problem,) = ends.problems(document, "failed")
        assert problem["where"] == str(closed)
        assert "ermission" in problem["reason"]
    assert ("alpha", RAW_ID) not in oracle.s3_listing(weed.client(), naming)
    closed.chmod(0o640)
    document = command.run(*MIGRATE, "--to", "s3", env=env, entry=without_root).expect(0).json()
    assert ends.files(document) == {"discovered": 11, "present": 10, "copied": 1}


@pytest.mark.row(16)
@pytest.mark.parametrize(
    ("level", "mode"),
    [
        pytest.param("index folder", 0o600, id="index folder-not to be entered"),
        pytest.param("organization", 0o000, id="organization-not to be listed"),
        pytest.param("index folder", 0o000, id="index folder-not to be listed", marks=pytest.mark.slow),
        pytest.param("organization", 0o600, id="organization-not to be entered", marks=pytest.mark.slow),
    ],
)
def test_an_unreadable_folder_is_a_problem_and_never_an_empty_one(
    level: str, mode: int, weed: S3Server, fresh_names: FreshNames, data: Path, without_root: str
) -> None:
    naming = ends.per_organization(fresh_names)
    ends.make_varied_store(data, {"alpha": 10, "b1": 10})
    hidden = corpus.add_raw_file(data, "alpha", b"behind a closed door", RAW_ID)
    door = hidden.parent if level == "index folder" else hidden.parent.parent
    count = len(oracle.disk_paths(data)) - (1 if level == "index folder" else 11)
    readable = door.stat().st_mode
    door.chmod(mode)
    env = {**weed.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    try:
        for words in (PLAN, MIGRATE, MIGRATE):
            document = command.run(*words, "--to", "s3", env=env, entry=without_root).expect(1).json()
            oracle.assert_adds_up(document)
            told = [*ends.problems(document, "unreadable-folder"), *ends.problems(document, "failed")]
            assert any(problem["where"].startswith(str(door)) for problem in told), document["problems"]
            assert ends.files(document)["discovered"] in (count, count + 1, count + 11)
        text = command.run("migrate", "--yes", "--to", "s3", env=env, entry=without_root).expect(1).stdout
        assert "Not everything is at the target" in text
    finally:
        door.chmod(readable)
    assert ("alpha", RAW_ID) not in oracle.s3_listing(weed.client(), naming)
    command.run(*MIGRATE, "--to", "s3", env=env, entry=without_root).expect(0)
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(weed.client(), naming))


@pytest.mark.row(16)
def test_a_folder_that_may_not_be_opened_is_named_with_its_whole_path(
    data: Path, tmp_path: Path, without_root: str
) -> None:
    """An organization that is asked for by name; and a data folder that is made for Bytes' user, by root without its capabilities."""
    organization = corpus.add_raw_file(data, "alpha", b"behind a closed door", RAW_ID).parent.parent
    words = ("--from", str(data), "--to", str(tmp_path / "new"), "--owner", "1000:1000")
    os.chown(organization, 1000, 1000)
    organization.chmod(0)
    done = command.run("plan", *words, "--organization", "alpha", entry=without_root).expect(3)
    assert f"{organization} cannot be used" in " ".join(done.stderr.split())
    organization.chmod(0o755)
    done = command.run("migrate", "--yes", *words, entry=without_root).expect(3)
    assert f"The data folder {tmp_path}/new cannot be opened (Permission denied). [target-folder]" in " ".join(
        done.stderr.split()
    )


# --- a source that is written to ---------------------------------------------------------------------------------------


@pytest.mark.row(19, 72)
def test_a_young_file_that_grew_after_it_was_copied_is_copied_anew(
    server: S3Server, naming: oracle.Naming, data: Path
) -> None:
    """Bytes does not write at once: what was copied half-written is this tool's own copy, which it may replace."""
    ends.make_varied_store(data, {"alpha": 5})
    growing = corpus.add_raw_file(data, "alpha", b"the first half", RAW_ID)
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    first = command.run(*MIGRATE, "--to", "s3", env=env).expect(0).json()
    assert ends.files(first) == {"discovered": 6, "copied": 6}
    with growing.open("ab") as more:
        more.write(b", and the second")
    planned = command.run(*PLAN, "--to", "s3", env=env).expect(0).json()
    assert ends.files(planned) == {"discovered": 6, "present": 5, "missing": 1}
    second = command.run(*MIGRATE, "--to", "s3", env=env).expect(0).json()
    oracle.assert_adds_up(second)
    assert ends.files(second) == {"discovered": 6, "present": 5, "copied": 1}
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(server.client(), naming))


@pytest.mark.parametrize("now", [b"full", b"whole"], ids=["the same size", "longer"])
def test_a_young_file_whose_copy_is_no_beginning_of_it_is_a_conflict_on_disk_too(
    now: bytes, data: Path, tmp_path: Path
) -> None:
    growing = corpus.add_raw_file(data, "alpha", b"0000", RAW_ID)
    fresh = tmp_path / "fresh"
    command.run(*MIGRATE, "--from", data, "--to", fresh).expect(0)
    before = oracle.disk_state(fresh)
    growing.write_bytes(now)
    document = command.run(*MIGRATE, "--from", data, "--to", fresh).expect(1).json()
    assert ends.files(document) == {"discovered": 1, "conflict": 1}
    oracle.assert_same(before, oracle.disk_state(fresh))


def test_a_young_file_that_grew_is_copied_anew_on_disk_too(data: Path, tmp_path: Path) -> None:
    growing = corpus.add_raw_file(data, "alpha", b"0000", RAW_ID)
    fresh = tmp_path / "fresh"
    command.run(*MIGRATE, "--from", data, "--to", fresh).expect(0)
    growing.write_bytes(b"0000 and more")
    document = command.run(*MIGRATE, "--from", data, "--to", fresh).expect(0).json()
    assert ends.files(document) == {"discovered": 1, "copied": 1}
    oracle.assert_same(oracle.disk_state(data), oracle.disk_state(fresh))


def test_somebody_elses_object_is_not_replaced_although_the_source_grew(
    server: S3Server, naming: oracle.Naming, data: Path
) -> None:
    growing = corpus.add_raw_file(data, "alpha", b"the first half", RAW_ID)
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    command.run(*MIGRATE, "--to", "s3", env=env).expect(0)
    client = server.client()
    ends.put(client, naming, "alpha", RAW_ID, b"put there by somebody else")
    with growing.open("ab") as more:
        more.write(b", and the second")
    document = command.run(*MIGRATE, "--to", "s3", env=env).expect(1).json()
    assert ends.files(document) == {"discovered": 1, "conflict": 1}
    body = client.get_object(Bucket=ends.bucket_of(naming, "alpha"), Key=ends.key_of(naming, "alpha", RAW_ID))[
        "Body"
    ].read()
    assert body == b"put there by somebody else"


@pytest.mark.row(19)
def test_a_settled_file_that_changed_is_a_conflict(server: S3Server, fresh_names: FreshNames, data: Path) -> None:
    """With ``--settle 0`` nothing is young: what changes afterwards was edited, and that is for the operator to judge."""
    naming = ends.single(fresh_names)
    path = corpus.add_raw_file(data, "alpha", b"as it was saved", RAW_ID)
    words = ("--from", data, "--to", ends.template(naming), "--settle", "0")
    command.run(*MIGRATE, *words, env=server.env()).expect(0)
    os.truncate(path, 3)
    alone = command.run(*MIGRATE, *words, env=server.env()).expect(1).json()
    assert ends.files(alone) == {"discovered": 1, "conflict": 1}
    corpus.add_raw_file(data, "alpha", b"one more in that folder", RAW_ID[:-1] + "0")
    document = command.run(*MIGRATE, *words, env=server.env()).expect(1).json()
    assert ends.files(document) == {"discovered": 2, "copied": 1, "conflict": 1}
