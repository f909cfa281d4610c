"""The tests' own reader: it must see what Bytes' user sees, not what root sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import as_bytes, corpus, oracle
from tests.conftest import FreshNames
from tests.running_bytes import running_bytes
from tests.servers import S3Server

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    corpus.make_store(tmp_path / "data", {"alpha": 3, "beta": 2}, sizes=10)
    return tmp_path / "data"


def give(root: Path, user: int, group: int) -> None:
    os.chown(root, user, group)
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            os.chown(os.path.join(folder, name), user, group, follow_symlinks=False)


@as_root
def test_root_s_files_are_refused_and_those_of_bytes_are_read(root: Path) -> None:
    expected = oracle.disk_state(root)
    found = as_bytes.read(as_bytes.OnDisk(root), expected)
    assert (len(found.readable), {why.name for why in found.refused.values()}) == (0, {"PermissionError"})
    give(root, as_bytes.UID, as_bytes.UID)
    as_bytes.assert_reads(as_bytes.OnDisk(root), expected)


@as_root
def test_the_modes_let_a_member_of_the_group_list_folders_and_not_pass_them(root: Path) -> None:
    give(root, 4321, 1234)
    member = as_bytes.OnDisk(root, user=as_bytes.User(groups=(1234,)))
    assert not as_bytes.read(member, oracle.disk_paths(root)).readable
    for folder, folders, _ in os.walk(root):
        os.chmod(folder, 0o750)
        for name in folders:
            os.chmod(os.path.join(folder, name), 0o750)
    as_bytes.assert_reads(member, oracle.disk_state(root))
    assert not as_bytes.read(as_bytes.OnDisk(root), oracle.disk_paths(root)).readable


@as_root
def test_folders_above_the_data_folder_count_only_where_bytes_comes_through_them(root: Path) -> None:
    give(root, as_bytes.UID, as_bytes.UID)
    os.chmod(root.parent, 0o755)
    inner = root.parent / "inner"
    inner.mkdir(mode=0o755)
    root = root.rename(inner / "data")
    names = oracle.disk_paths(root)
    through = as_bytes.OnDisk(root, seen_from=inner.parent)
    assert not as_bytes.read(through, names).refused
    inner.chmod(0o700)
    assert len(as_bytes.read(through, names).refused) == 5
    assert not as_bytes.read(as_bytes.OnDisk(root), names).refused


def test_what_is_missing_is_told_as_missing(root: Path) -> None:
    gone = ("alpha", "00000000-0000-4000-8000-000000000000")
    answer = as_bytes.content(as_bytes.OnDisk(root, user=as_bytes.User(user=0, group=0)), gone)
    assert isinstance(answer, as_bytes.Refused)
    assert answer.name == "FileNotFoundError"


def put_all(server: S3Server, bucket: str, root: Path) -> None:
    client = server.client()
    client.create_bucket(Bucket=bucket)
    for (organization, raw_id), path in oracle.disk_paths(root).items():
        client.put_object(Bucket=bucket, Key=f"{organization}/{raw_id}", Body=Path(path).read_bytes())


def test_on_s3_each_read_first_makes_the_bucket(
    root: Path, moto: S3Server, weed: S3Server, fresh_names: FreshNames
) -> None:
    expected, naming = oracle.disk_state(root), oracle.Single(fresh_names.bucket)
    for server in (moto, weed):
        put_all(server, fresh_names.bucket, root)
    as_bytes.assert_reads(as_bytes.OnS3(moto.client(), naming), expected)
    found = as_bytes.read(as_bytes.OnS3(weed.client(), naming), expected)
    assert {why.name for why in found.refused.values()} == {"BucketAlreadyOwnedByYou"}
    assert not found.readable
    as_bytes.assert_reads(as_bytes.OnS3(weed.client(), naming, behind_cure=True), expected)


@as_root
def test_a_running_bytes_answers_with_what_its_user_can_read(root: Path) -> None:
    import urllib.error
    import urllib.request

    give(root, as_bytes.UID, as_bytes.UID)
    names = sorted(oracle.disk_paths(root))
    os.chown(oracle.disk_paths(root)[names[0]], 0, 0)
    os.unlink(oracle.disk_paths(root)[names[1]])
    with running_bytes(place=as_bytes.OnDisk(root), names=names) as state:
        request = urllib.request.Request(
            f"{state.url}/token", data=b"username=bytes-user&password=NeverToBePrinted-api+%26+%2B+%C3%A9"
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        answers = []
        for _, raw_id in names[:3]:
            asked = urllib.request.Request(
                f"{state.url}/bytes/raw/{raw_id}", headers={"Authorization": f"Bearer token-{state.tokens}"}
            )
            try:
                with urllib.request.urlopen(asked) as answer:
                    answers.append(answer.status)
            except urllib.error.HTTPError as error:
                answers.append(error.code)
    assert answers == [500, 404, 200]
