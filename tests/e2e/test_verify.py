"""`verify` as an operator runs it: seeded damage at every level, samples, going on, manifests, bad input."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

VERIFY = ("verify", "--json")
PROOFS = ("proven", "unproven", "conflict", "missing", "failed")
NEW_ID = "0123abcd-1111-4222-8333-444455556666"


def adds_up(document: Mapping[str, Any]) -> None:
    rows = document["organizations"]
    for totals in (document["totals"], *rows):
        for unit in ("files", "bytes"):
            assert totals["discovered"][unit] == sum(totals[name][unit] for name in PROOFS)
    for name in ("discovered", *PROOFS, "extra"):
        assert document["totals"][name]["files"] == sum(row[name]["files"] for row in rows)


def found(document: Mapping[str, Any]) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for problem in document["problems"]:
        kinds.setdefault(problem["kind"], set()).add(problem["id"])
    return kinds


class Damage:
    """One raw file of each kind of damage at the target, chosen by a seed."""

    def __init__(self, data: Path, seed: int = 7) -> None:
        names = sorted(oracle.disk_paths(data))
        sized = [name for name in names if (data / name[0] / name[1][:3] / name[1]).stat().st_size > 10]
        chosen = random.Random(seed).sample(sized, 6)
        self.flipped, self.truncated, self.emptied, self.swapped, self.with_, self.missing = chosen
        self._data = data

    def content(self, name: tuple[str, str]) -> bytes:
        return (self._data / name[0] / name[1][:3] / name[1]).read_bytes()

    def contents(self) -> dict[tuple[str, str], bytes | None]:
        """What is to be at the target under each name; None for nothing."""
        flipped = bytearray(self.content(self.flipped))
        flipped[len(flipped) // 2] ^= 1
        return {
            self.flipped: bytes(flipped),
            self.truncated: self.content(self.truncated)[:-1],
            self.emptied: b"",
            self.swapped: self.content(self.with_),
            self.with_: self.content(self.swapped),
            self.missing: None,
            (self.swapped[0], NEW_ID): self.content(self.swapped),
        }

    def ids(self, *names: str) -> set[str]:
        return {getattr(self, name)[1] for name in names}

    @property
    def swapped_alike(self) -> bool:
        return len(self.content(self.swapped)) == len(self.content(self.with_))


def check(damage: Damage, document: Mapping[str, Any], level: str, total: int) -> None:
    adds_up(document)
    seen = found(document)
    assert seen["missing"] == damage.ids("missing")
    assert document["totals"]["extra"]["files"] == 1
    conflicts = damage.ids("truncated", "emptied", "swapped", "with_")
    if level != "size":
        conflicts |= damage.ids("flipped")
    assert seen["conflict"] == conflicts
    assert set(seen) == {"missing", "conflict"}
    assert document["totals"]["proven"]["files"] == total - 1 - len(conflicts)
    assert document["level"] == level
    assert document["proves"]


@pytest.mark.parametrize("level", ["size", "etag", "content"])
def test_damage_on_s3_is_found_at_the_level_that_promises_it(
    server: S3Server, naming: oracle.Naming, data: Path, level: str
) -> None:
    ends.make_varied_store(data, {"alpha": 60, "b1": 30})
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    command.run(*MIGRATE, "--to", "s3", env=env).expect(0)
    whole = command.run(*VERIFY, "--to", "s3", "--level", level, env=env).expect(0).json()
    assert ends.files(whole) == {"discovered": 90, "proven": 90}
    damage, client = Damage(data), server.client()
    for (organization, raw_id), content in damage.contents().items():
        if content is None:
            bucket, key = ends.bucket_of(naming, organization), ends.key_of(naming, organization, raw_id)
            client.delete_object(Bucket=bucket, Key=key)
        else:
            ends.put(client, naming, organization, raw_id, content)
    before = oracle.s3_state(client, naming)
    done = command.run(*VERIFY, "--to", "s3", "--level", level, env=env).expect(1)
    check(damage, done.json(), level, 90)
    text = command.run("verify", "--to", "s3", "--level", level, env=env).expect(1).stdout
    assert "in conflict" in text
    assert f"level {level}" in text
    assert oracle.s3_state(client, naming) == before, "nothing was written"


@pytest.mark.parametrize("level", ["size", "etag", "content"])
def test_damage_on_disk_is_found_whichever_way_it_came(
    server: S3Server, naming: oracle.Naming, data: Path, tmp_path: Path, level: str
) -> None:
    """S3 to disk: the server's digests hold for what lies on disk. And disk to disk: both are read."""
    ends.make_varied_store(data, {"alpha": 40, "b1": 20})
    there = tmp_path / "there"
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    command.run(*MIGRATE, "--to", "s3", env=env).expect(0)
    command.run(*MIGRATE, "--from", "s3", "--to", f"{there}/", env=env).expect(0)
    damage = Damage(data)
    for (organization, raw_id), content in damage.contents().items():
        (there / organization / raw_id[:3] / raw_id).unlink(missing_ok=True)
        if content is not None:
            corpus.add_raw_file(there, organization, content, raw_id)
    for source in ("s3", f"{data}/"):
        with oracle.nothing_written(data, there):
            done = command.run(*VERIFY, "--from", source, "--to", f"{there}/", "--level", level, env=env).expect(1)
        check(damage, done.json(), level, 60)


def test_parts_are_recomputed_and_a_large_file_is_proven_without_reading_it_back(
    server: S3Server, naming: oracle.Naming, data: Path
) -> None:
    store = ends.make_varied_store(data, {"alpha": 3}, large=2)
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    command.run(*MIGRATE, "--to", "s3", env=env).expect(0)
    assert ends.files(command.run(*VERIFY, "--to", "s3", env=env).expect(0).json())["proven"] == 5
    organization, raw_id, _ = store.large[0]
    path = data / organization / raw_id[:3] / raw_id
    with path.open("r+b") as content:
        content.seek(ends.LARGE // 2)
        byte = content.read(1)
        content.seek(ends.LARGE // 2)
        content.write(bytes([byte[0] ^ 1]))
    document = command.run(*VERIFY, "--to", "s3", env=env).expect(1).json()
    assert found(document) == {"conflict": {raw_id}}


def test_parts_of_a_size_that_no_tool_uses_are_recomputed_where_the_server_tells_it(
    server: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    naming, client = ends.single(fresh_names), server.client()
    content = random.Random(3).randbytes(13 * corpus.MIB)
    corpus.add_raw_file(data, "alpha", content, NEW_ID)
    corpus.add_raw_file(data, "alpha", b"whole")
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    command.run(*MIGRATE, "--to", "s3", env=env).expect(0)
    key = {"Bucket": naming.bucket, "Key": f"alpha/{NEW_ID}"}
    upload = client.create_multipart_upload(**key)["UploadId"]
    parts, cut = [], 11 * corpus.MIB + 17
    for number, body in ((1, content[:cut]), (2, content[cut:])):
        etag = client.upload_part(**key, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    client.complete_multipart_upload(**key, UploadId=upload, MultipartUpload={"Parts": parts})
    for level in ("etag", "content"):
        document = command.run(*VERIFY, "--to", "s3", "--level", level, env=env).expect(0).json()
        assert ends.files(document) == {"discovered": 2, "proven": 2}
    content = bytes([content[0] ^ 1]) + content[1:]
    (data / "alpha" / NEW_ID[:3] / NEW_ID).write_bytes(content)
    document = command.run(*VERIFY, "--to", "s3", env=env).expect(1).json()
    assert found(document) == {"conflict": {NEW_ID}}


def test_a_sample_has_the_same_share_of_each_organization_and_the_same_files_for_the_same_seed(
    data: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 100, "b1": 50, "c": 1})
    there = tmp_path / "there"
    shutil.copytree(data, there, symlinks=True)
    words = (*VERIFY, "--from", f"{data}/", "--to", f"{there}/", "--level", "content", "--sample", "31")

    def taken(*more: str) -> tuple[dict[str, int], set[str]]:
        folder = tmp_path / "-".join(("manifest", *more))
        document = command.run(*words, "--manifest", folder, *more).expect(0).json()
        adds_up(document)
        ids = {line.split("/")[-1] for path in folder.glob("*.sha256") for line in path.read_text().splitlines()}
        return {row["organization"]: row["discovered"]["files"] for row in document["organizations"]}, ids

    (shares, first), (_, again), (_, other) = taken("--fresh"), taken(), taken("--seed", "2")
    assert shares == {"alpha": 20, "b1": 10, "c": 1}
    assert first == again != other
    assert len(first) == 31
    corpus.add_raw_file(there, "alpha")
    document = command.run(*words).expect(0).json()
    assert document["totals"]["extra"]["files"] == 0
    assert "sample" in ends.findings(document)


def test_a_filter_by_age_proves_a_part(data: Path, tmp_path: Path) -> None:
    ends.make_varied_store(data, {"alpha": 5})
    old = corpus.add_raw_file(data, "alpha", b"old")
    os.utime(old, (1, 1))
    words = (*VERIFY, "--from", f"{data}/", "--to", f"{tmp_path}/there/")
    document = command.run(*words, "--older-than", "1d").expect(1).json()
    assert ends.files(document) == {"discovered": 1, "missing": 1}


class TestGoingOn:
    @pytest.fixture
    def store(self, data: Path, tmp_path: Path) -> tuple[Path, Path]:
        ends.make_varied_store(data, {"alpha": 9_000, "b1": 300})
        there = tmp_path / "there"
        shutil.copytree(data, there, symlinks=True)
        for root in (data, there):
            subprocess.run(["sync", "-f", root], check=True)
        return data, there

    def _broken_off(self, data: Path, there: Path, state: Path) -> None:
        """Killed once some shards are proven."""
        words = (*VERIFY, "--from", f"{data}/", "--to", f"{there}/", "--level", "content")
        with command.start(*words) as process:
            process.wait_for(lambda: _proven_shards(state) > 2)
            process.kill()

    @pytest.mark.slow
    def test_what_was_proven_is_not_read_again_unless_it_changed(self, store: tuple[Path, Path], state: Path) -> None:
        data, there = store
        _let_rest()
        self._broken_off(data, there, state)
        proven = _proven_shards(state)
        if not proven:
            pytest.skip("it came to its end before it could be killed")
        words = (*VERIFY, "--from", f"{data}/", "--to", f"{there}/", "--level", "content")
        document = command.run(*words).expect(0).json()
        assert document["resumed"]["shards"] >= 1
        assert ends.files(document)["proven"] == 9_300
        assert ends.files(document)["proven_earlier"] == document["resumed"]["files"]
        assert command.run(*words).expect(0).json()["resumed"] is None, "what came to its end is no base for the next"

    @pytest.mark.slow
    def test_a_change_in_a_proven_shard_is_found(self, store: tuple[Path, Path], state: Path) -> None:
        data, there = store
        _let_rest()
        self._broken_off(data, there, state)
        for organization, raw_id in sorted(oracle.disk_paths(there))[::100]:
            path = there / organization / raw_id[:3] / raw_id
            status = path.stat()
            content = path.read_bytes()
            path.write_bytes(bytes(len(content)))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        document = (
            command.run(*VERIFY, "--from", f"{data}/", "--to", f"{there}/", "--level", "content").expect(1).json()
        )
        truth = {
            raw_id
            for organization, raw_id in oracle.disk_paths(data)
            if (data / organization / raw_id[:3] / raw_id).read_bytes()
            != (there / organization / raw_id[:3] / raw_id).read_bytes()
        }
        assert found(document)["conflict"] == truth


def _let_rest() -> None:
    """Files that were touched this moment are read again by the next run, so these get older first."""
    import time

    time.sleep(3.2)


def _proven_shards(state: Path) -> int:
    import sqlite3

    for path in state.glob("*.sqlite3"):
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                return int(connection.execute("SELECT count(*) FROM facts WHERE kind = 'proven'").fetchone()[0])
        except sqlite3.Error:
            return 0
    return 0


# --- manifests -------------------------------------------------------------------------------------------------------


def test_a_manifest_is_what_sha256sum_checks_and_verify_checks_either_end(
    server: S3Server, naming: oracle.Naming, data: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(
        data, {"alpha": 40, "gemeente-éé": 10} if isinstance(naming, oracle.Single) else {"alpha": 50}
    )
    corpus.add_raw_file(data, "alpha", random.Random(1).randbytes(2 * corpus.MIB))
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    command.run(*MIGRATE, "--to", "s3", env=env).expect(0)
    folder = tmp_path / "evidence"
    words = (*VERIFY, "--to", "s3", "--level", "content", "--manifest", folder)
    document = command.run(*words, env=env).expect(0).json()
    assert document["manifest"] == str(folder)
    truth = {
        raw_id: (organization, content)
        for organization, raw_id in oracle.disk_paths(data)
        for content in [(data / organization / raw_id[:3] / raw_id).read_bytes()]
    }
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        if path.suffix == ".sha256":
            subprocess.run(["sha256sum", "-c", "--strict", "--quiet", path], cwd=data, check=True)
        else:
            mine = [json.loads(line) for line in path.read_text().splitlines()]
            assert [row["id"] for row in mine] == sorted(row["id"] for row in mine)
            rows += mine
    assert len(rows) == 51
    for row in rows:
        organization, content = truth[row["id"]]
        assert (row["organization"], row["size"]) == (organization, len(content))
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["md5"] == hashlib.md5(content).hexdigest()
        assert row["location"].startswith("s3://")
        assert row["verified_at"].endswith("Z")
        assert row["how"]
    for end in (("--to", "s3"), ("--from", "disk"), ("--to", f"{data}/")):
        for kind in (folder, *folder.glob("alpha.*")):
            document = command.run(*VERIFY, *end, "--against", kind, env=env).expect(0).json()
            adds_up(document)
            assert document["totals"]["proven"]["files"] == (51 if kind == folder else 51 - _others(truth))


def _others(truth: Mapping[str, tuple[str, bytes]]) -> int:
    return sum(1 for organization, _ in truth.values() if organization != "alpha")


def test_damage_is_found_against_a_manifest(
    server: S3Server, naming: oracle.Naming, data: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 40})
    env = {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data)}
    command.run(*MIGRATE, "--to", "s3", env=env).expect(0)
    folder = tmp_path / "evidence"
    command.run(*VERIFY, "--to", "s3", "--level", "content", "--manifest", folder, env=env).expect(0)
    damage, client = Damage(data), server.client()
    for (organization, raw_id), content in damage.contents().items():
        if content is None:
            bucket, key = ends.bucket_of(naming, organization), ends.key_of(naming, organization, raw_id)
            client.delete_object(Bucket=bucket, Key=key)
        else:
            ends.put(client, naming, organization, raw_id, content)
    shutil.rmtree(data)
    for kind in (folder, folder / "alpha.sha256"):
        document = command.run(*VERIFY, "--to", "s3", "--against", kind, env=env).expect(1).json()
        check(damage_of(damage), document, "content", 40)


class damage_of:
    """The same names, when the contents are gone."""

    def __init__(self, damage: Damage) -> None:
        self.ids = damage.ids


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.sha256", "hello\n"),
        ("a.sha256", f"{'0' * 64}  ../../etc/passwd\n"),
        ("a.sha256", f"{'0' * 64}  alpha/012/{NEW_ID}/x\n"),
        ("a.sha256", f"{'0' * 63}  alpha/012/{NEW_ID}\n"),
        ("a.sha256", f"{'0' * 64}  alpha/012/{NEW_ID}\n{'0' * 64}  alpha/012/{NEW_ID}\n"),
        ("a.sha256", f"{'0' * 64}  alpha/012/{NEW_ID}\n{'0' * 64}  alpha/000/000{NEW_ID[3:]}\n"),
        ("a.sha256", f"{'0' * 64}  \x1b[31malpha/012/{NEW_ID}\n"),
        ("a.ndjson", "{}\n"),
        ("a.ndjson", "{" * 3000 + "\n"),
        ("a.ndjson", '{"organization": "../x", "id": "' + NEW_ID + '", "size": 1, "sha256": "' + "0" * 64 + '"}\n'),
        ("a.ndjson", '{"organization": "x", "id": "' + NEW_ID + '", "size": -1, "sha256": "' + "0" * 64 + '"}\n'),
        ("a.sha256", "x" * 10_000_000),
        ("a.sha256", "\udcff\udcfe\n"),
        ("a.sha256", ""),
    ],
)
def test_a_manifest_with_foreign_or_hostile_lines_is_refused(
    name: str, lines: str, data: Path, tmp_path: Path, state: Path
) -> None:
    corpus.add_raw_file(data, "alpha", b"x", NEW_ID)
    manifest = tmp_path / name
    manifest.write_bytes(lines.encode(errors="surrogateescape"))
    with oracle.nothing_written(data, manifest.parent):
        done = command.run(*VERIFY, "--to", f"{data}/", "--against", manifest).expect(2)
    assert done.json()["error"]["name"] in ("manifest-unsound", "manifest-empty")
    assert "\x1b" not in done.stderr
    assert not state.exists()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--manifest", "m"), "manifest-needs-content"),
        (("--level", "content", "--manifest", "{data}/m"), "manifest-inside-data"),
        (("--against", "{data}"), "one-end"),
        (("--sample", "0"), "usage"),
        (("--level", "all"), "usage"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], name: str, data: Path, tmp_path: Path) -> None:
    corpus.add_raw_file(data, "alpha")
    words = tuple(word.format(data=data) for word in words)
    done = command.run(*VERIFY, "--from", f"{data}/", "--to", f"{tmp_path}/there/", *words, cwd=tmp_path).expect(2)
    assert done.json()["error"]["name"] == name


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--level", "size"), "against-is-content"),
        (("--newer-than", "1d"), "against-and-ages"),
        (("--manifest", "m", "--level", "content"), "against-and-manifest"),
    ],
)
def test_against_a_manifest_some_options_mean_nothing(
    words: tuple[str, ...], name: str, data: Path, tmp_path: Path
) -> None:
    corpus.add_raw_file(data, "alpha")
    done = command.run(*VERIFY, "--to", f"{data}/", "--against", tmp_path, *words, cwd=tmp_path).expect(2)
    assert done.json()["error"]["name"] == name


def test_an_organization_without_a_valid_bucket_is_missing(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    ends.make_varied_store(data, {"alpha": 3, "under_score": 2})
    env = {**weed.env(), **ends.settings(ends.per_organization(fresh_names)), "BYTES_DATA_DIR": str(data)}
    command.run(*MIGRATE, "--to", "s3", "--force", "bucket-names", "--force", "bytes-calls", env=env).expect(1)
    document = command.run(*VERIFY, "--to", "s3", env=env).expect(1).json()
    assert ends.files(document) == {"discovered": 5, "proven": 3, "missing": 2}
