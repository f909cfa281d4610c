"""Large objects that one server copies for itself, in the parts that they were made of: proven, gone on with, never overwriting."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from migrator.config.locations import S3Location
from migrator.core.entities import RawFile, RawId
from migrator.core.errors import AlreadyThere, NotTheSame, SourceChanged
from migrator.core.naming import BucketPerOrganization, SingleBucket
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.target import S3Target
from tests import command, corpus, oracle
from tests.backends import abilities_of, access_to
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE
from tests.fakes import quick_patience
from tests.faults import proxy as faults
from tests.faults.bench import PART
from tests.faults.proxy import Proxy, Rule, proxy_before
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

RAW = RawFile("alpha", RawId("0123abcd-1111-4222-8333-444455556666"))
SIZE = 20 * corpus.MIB + 7


class Scene:
    """An object in one bucket, and another bucket of the same server."""

    def __init__(self, server: S3Server, names: FreshNames, *, part_size: int | None, largest_copy: int = 1 << 30):
        self.client = server.client()
        self.before, self.after = ends.single(names), ends.per_organization(names)
        self.content = (bytes(range(256)) * (SIZE // 256 + 1))[:SIZE]
        ends.make_bucket(self.client, names.bucket)
        self.put(self.content, part_size)
        access = access_to(server)
        self.source = S3Source(S3Location(naming=SingleBucket(names.bucket), access=access), quick_patience())
        self.target = S3Target(
            S3Location(naming=BucketPerOrganization(names.prefix), access=access),
            quick_patience(),
            abilities=abilities_of(server),
            create_buckets=True,
            largest_copy=largest_copy,
        )
        self.target.prepare("alpha")

    def put(self, content: bytes, part_size: int | None) -> None:
        where = {"Bucket": self.before.bucket, "Key": "/".join(RAW)}
        if part_size is None:
            self.client.put_object(**where, Body=content)
            return
        upload = self.client.create_multipart_upload(**where)["UploadId"]
        parts = []
        for number, begin in enumerate(range(0, len(content), part_size), 1):
            body = content[begin : begin + part_size]
            answer = self.client.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self.client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    def server_side_copy(self) -> str | None:
        entry = self.source.stat(RAW)
        assert entry is not None
        receipt = self.target.server_side_copy(RAW, self.source, entry)
        return None if receipt is None else receipt.version

    def arrived(self) -> bytes:
        where = {"Bucket": ends.bucket_of(self.after, "alpha"), "Key": RAW.raw_id}
        body: bytes = self.client.get_object(**where)["Body"].read()
        return body

    def close(self) -> None:
        self.source.close()
        self.target.close()


@pytest.mark.row(77)
@pytest.mark.parametrize(
    "part_size",
    [8 * corpus.MIB, 6 * corpus.MIB, 11 * corpus.MIB + 3],
    ids=["our parts", "another tool's parts", "odd parts"],
)
def test_what_was_made_in_parts_is_copied_in_the_same_parts(
    part_size: int, moto: S3Server, fresh_names: FreshNames
) -> None:
    with contextlib.closing(Scene(moto, fresh_names, part_size=part_size)) as scene:
        entry = scene.source.stat(RAW)
        assert entry is not None
        assert scene.server_side_copy() == entry.etag, "the copy has another ETag, so it is not proven by it"
        assert scene.arrived() == scene.content


@pytest.mark.row(77)
def test_what_is_too_large_for_one_request_is_copied_in_parts_and_proven_by_reading(
    moto: S3Server, fresh_names: FreshNames
) -> None:
    scene = Scene(moto, fresh_names, part_size=None, largest_copy=17 * corpus.MIB)
    with contextlib.closing(scene):
        mark = scene.server_side_copy()
        assert mark is not None
        assert mark.endswith("-3"), "it was not copied in parts"
        assert scene.arrived() == scene.content


@pytest.mark.row(31)
def test_a_name_that_is_taken_is_not_overwritten(server: S3Server, fresh_names: FreshNames) -> None:
    with contextlib.closing(Scene(server, fresh_names, part_size=8 * corpus.MIB)) as scene:
        bucket = ends.bucket_of(scene.after, "alpha")
        scene.client.put_object(Bucket=bucket, Key=RAW.raw_id, Body=b"another's")
        with pytest.raises(AlreadyThere):
            scene.server_side_copy()
        assert scene.arrived() == b"another's"
        assert oracle.uploads(scene.client, bucket) == []


@pytest.mark.row(56)
@pytest.mark.parametrize("kind", ["weed", "moto"])
def test_an_object_that_is_another_by_now_is_not_copied(
    kind: str, request: pytest.FixtureRequest, fresh_names: FreshNames
) -> None:
    """moto copies it all the same, which the ETag of the whole then tells, and a look at what is there."""
    with contextlib.closing(Scene(request.getfixturevalue(kind), fresh_names, part_size=8 * corpus.MIB)) as scene:
        entry = scene.source.stat(RAW)
        assert entry is not None
        scene.put(b"x" * SIZE, 8 * corpus.MIB)
        with pytest.raises((NotTheSame, SourceChanged)):
            scene.target.server_side_copy(RAW, scene.source, entry)
        assert oracle.uploads(scene.client, ends.bucket_of(scene.after, "alpha")) == []


@pytest.mark.row(1, 51)
def test_killed_while_parts_are_copied_it_goes_on_with_the_rest(
    moto: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    corpus.make_store(tmp_path / "data", {"alpha": 0}, large=[40 * corpus.MIB])
    before, after = ends.single(fresh_names), ends.per_organization(fresh_names)
    command.run(*MIGRATE, "--from", tmp_path / "data", "--to", ends.template(before), env=moto.env()).expect(0)
    words = (*MIGRATE, "--from", ends.template(before), "--to", ends.template(after))
    with proxy_before(moto, Rule(faults.stall, "PUT", PART, nth=frozenset([4, 5]), name="hold")) as proxy:
        with command.start(*words, env=proxy.server.env()) as process:
            assert process.wait_for(lambda: proxy.seen.faults["hold"] > 0), process.output_so_far()
            assert process.wait_for(lambda: _copied(proxy) >= 3), process.output_so_far()
            process.kill()
        proxy.calm()
        proxy.seen.log.clear()
        document = command.run(*words, env=proxy.server.env()).expect(0).json()
        assert ends.files(document) == {"discovered": 1, "copied": 1}
        assert 0 < _copied(proxy) <= 3, "parts were copied that were there already"
        assert proxy.seen.bytes_up["PUT"] < corpus.MIB, "content passed through this machine"
        assert not [line for line in proxy.seen.log if line[0] == "POST" and line[1].endswith("uploads")]
    oracle.assert_same_contents(oracle.disk_state(tmp_path / "data"), oracle.s3_state(moto.client(), after))
    assert oracle.uploads(moto.client(), ends.bucket_of(after, "alpha")) == []


def _copied(proxy: Proxy) -> int:
    return sum(1 for method, target, fault in proxy.seen.log if "partNumber=" in target and not fault)


@pytest.mark.parametrize("kind", ["weed", "rclone"])
def test_where_the_server_does_not_tell_what_it_copied_contents_pass_through(
    kind: str, request: pytest.FixtureRequest, fresh_names: FreshNames, tmp_path: Path
) -> None:
    """SeaweedFS answers a copied part with an ETag that is no MD5 of it."""
    server = request.getfixturevalue(kind)
    ends.make_varied_store(tmp_path / "data", {"alpha": 3}, large=1)
    before, after = ends.single(fresh_names), ends.per_organization(fresh_names)
    command.run(*MIGRATE, "--from", tmp_path / "data", "--to", ends.template(before), env=server.env()).expect(0)
    words = (*MIGRATE, "--from", ends.template(before), "--to", ends.template(after))
    document = command.run(*words, env=server.env()).expect(0).json()
    assert ends.files(document) == {"discovered": 4, "copied": 4}
    oracle.assert_same_contents(oracle.disk_state(tmp_path / "data"), oracle.s3_state(server.client(), after))
    assert oracle.uploads(server.client(), ends.bucket_of(after, "alpha")) == []
