"""What servers say of an object beyond its listing, and checksums that no library computes."""

from __future__ import annotations

import base64
import hashlib
import zlib
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.config.locations import S3Access, S3Location, Secret
from migrator.core.entities import RawFile
from migrator.core.errors import Vanished
from migrator.core.naming import SingleBucket
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.stored_checksums import _Crc, _PartsCheck, _slowly, _WholeCheck
from migrator.transfer.retry import RetryPolicy
from tests.backends import raw_id
from tests.conftest import FreshNames
from tests.servers import S3Server

MIB = 1 << 20
ONE = RawFile("org", raw_id("0001"))
CRC64NVME = partial(_slowly, 0x9A6C9329AC4BC9B5, 64)
CRC32C = partial(_slowly, 0x82F63B78, 32)


def source_at(server: S3Server, bucket: str, *, wired: bool = True) -> S3Source:
    access = S3Access(
        endpoint_url=server.endpoint_url,
        region=server.region,
        access_key_id=server.access_key,
        secret_access_key=Secret(server.secret_key),
    )
    return S3Source(S3Location(naming=SingleBucket(bucket), access=access), RetryPolicy(seconds=10), wired=wired)


@pytest.fixture
def bucket(server: S3Server, fresh_names: FreshNames) -> str:
    server.client().create_bucket(Bucket=fresh_names.bucket)
    return fresh_names.bucket


def put(server: S3Server, bucket: str, data: bytes, **more: Any) -> None:
    server.client().put_object(Bucket=bucket, Key=f"org/{ONE.raw_id}", Body=data, **more)


def test_check_values_of_the_checksums() -> None:
    """Of the catalogue of CRCs (https://reveng.sourceforge.io/crc-catalogue/all.htm)."""
    assert CRC64NVME(b"123456789", 0) == 0xAE8B14860A799888
    assert CRC32C(b"123456789", 0) == 0xE3069283


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_checksum_does_not_depend_on_chunks(data: bytes, cut: int) -> None:
    for step, width in ((CRC64NVME, 8), (CRC32C, 4), (zlib.crc32, 4)):
        value = base64.b64encode(step(data, 0).to_bytes(width, "big")).decode()
        check = _WholeCheck(partial(_Crc, step, width), value)
        for piece in (data[:cut], data[cut:]):
            check.update(piece)
        assert check.matches() is True
        check.update(b"!")
        assert check.matches() is False


@given(st.binary(max_size=60), st.integers(1, 60), st.integers(0, 60))
def test_a_checksum_of_parts(data: bytes, part_size: int, cut: int) -> None:
    parts = [data[start : start + part_size] for start in range(0, len(data), part_size)] or [b""]
    value = base64.b64encode(hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest())
    for content, expected in ((data, True), (data + b"!", None)):
        check = _PartsCheck(hashlib.sha256, value.decode(), part_size)
        for piece in (content[:cut], content[cut:]):
            check.update(piece)
        assert check.matches() is expected


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA1", "CRC32"])
def test_stored_checksums_hold_content(server: S3Server, bucket: str, algorithm: str) -> None:
    put(server, bucket, b"content", ChecksumAlgorithm=algorithm)
    store = source_at(server, bucket)
    try:
        promise = store.promise(ONE)
        assert promise is not None
        assert promise.etag_is_digest
        if promise.check is None:
            pytest.skip("this server does not give the checksum back")
        assert promise.kind == algorithm
        for data, expected in ((b"content", True), (b"contenu", False)):
            check = promise.check()
            check.update(data)
            assert check.matches() is expected
    finally:
        store.close()


def test_what_is_gone_has_vanished(server: S3Server, bucket: str) -> None:
    store = source_at(server, bucket)
    try:
        with pytest.raises(Vanished):
            store.promise(ONE)
    finally:
        store.close()


def test_the_first_part_tells_the_size_where_the_server_knows_parts(moto: S3Server, fresh_names: FreshNames) -> None:
    client, bucket, key = moto.client(), fresh_names.bucket, f"org/{ONE.raw_id}"
    client.create_bucket(Bucket=bucket)
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts = []
    for number, size in ((1, 9 * MIB), (2, 100)):
        answer = client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=bytes(size))
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    store = source_at(moto, bucket)
    try:
        promise = store.promise(ONE)
        assert promise is not None
        assert promise.part_size == 9 * MIB
    finally:
        store.close()


@pytest.mark.parametrize("wired", [True, False])
@pytest.mark.parametrize("size", [100, 17 * MIB])
def test_an_object_that_the_server_encrypts_is_known_as_such(
    moto: S3Server, fresh_names: FreshNames, size: int, wired: bool
) -> None:
    """Small by boto3, large in ranges over libcurl: an ETag that looks like an MD5 and is none is no damage."""
    moto.client().create_bucket(Bucket=fresh_names.bucket)
    put(moto, fresh_names.bucket, bytes(size), ServerSideEncryption="aws:kms")
    store = source_at(moto, fresh_names.bucket, wired=wired)
    try:
        promise = store.promise(ONE)
        assert promise is not None
        assert not promise.etag_is_digest
        entry = store.stat(ONE)
        assert entry is not None
        with store.open(ONE, entry) as content:
            content._check._etag = "0" * 32  # type: ignore[attr-defined]  # moto's ETag is an MD5 even then
            while content.read(MIB):
                pass
            content.finish()
    finally:
        store.close()
