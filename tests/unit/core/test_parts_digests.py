"""The ETag of a multipart upload, from the bytes or from the digests of parts that others have hashed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.equality import EtagCheck, etag_of_parts
from migrator.core.size_thresholds import PART_SIZES_IN_USE
from tests import strategies

MIB = 1 << 20
SIZE = 17 * MIB + 5
DATA = bytes(range(256)) * (SIZE // 256) + bytes(SIZE % 256)


def md5(data: bytes) -> bytes:
    return hashlib.md5(data).digest()


def parts_of(data: bytes, part_size: int) -> list[bytes]:
    return [data[start : start + part_size] for start in range(0, max(1, len(data)), part_size)]


def etag_for(data: bytes, part_size: int) -> str:
    return etag_of_parts([md5(part) for part in parts_of(data, part_size)])


def test_the_etag_of_parts_is_what_s3_documents() -> None:
    digests = [md5(b"a"), md5(b"b")]
    assert etag_of_parts(digests) == f"{hashlib.md5(digests[0] + digests[1]).hexdigest()}-2"


@pytest.mark.many
@pytest.mark.parametrize("part_size", PART_SIZES_IN_USE)
def test_digests_of_whole_parts_prove_as_much_as_the_bytes(part_size: int) -> None:
    etag = etag_for(DATA, part_size)
    by_bytes = EtagCheck(etag, SIZE)
    by_bytes.update(DATA)
    assert by_bytes.matches() is True
    if by_bytes.only_part_size is None:
        return
    assert by_bytes.only_part_size == part_size
    by_digests = EtagCheck(etag, SIZE)
    for part in parts_of(DATA, part_size):
        by_digests.update(part, md5(part))
    assert by_digests.matches() is True
    assert by_digests.fingerprint == by_bytes.fingerprint == etag


@settings(max_examples=strategies.examples(15))
@given(st.data())
def test_parts_may_come_as_bytes_and_as_digests_in_any_mixture(data: st.DataObject) -> None:
    part_size = 5 * MIB
    etag = etag_for(DATA, part_size)
    check = EtagCheck(etag, SIZE)
    assert check.only_part_size == part_size
    damaged = data.draw(st.booleans())
    for number, part in enumerate(parts_of(DATA, part_size)):
        content = part[:-1] + bytes([part[-1] ^ 1]) if damaged and number == 1 else part
        if data.draw(st.booleans()):
            check.update(content, md5(content))
        else:
            half = data.draw(st.integers(0, len(content)))
            check.update(content[:half])
            check.update(content[half:])
    assert check.matches() is (None if damaged else True)


def test_a_missing_last_part_is_noticed() -> None:
    parts = parts_of(DATA, 5 * MIB)
    check = EtagCheck(etag_for(DATA, 5 * MIB), SIZE)
    for part in parts[:-1]:
        check.update(part, md5(part))
    assert check.matches() is None


@pytest.mark.parametrize("etag", [None, "", "opaque", "0" * 32, f"{'0' * 32}-0", f"{'0' * 32}-99"])
def test_other_etags_have_no_part_size(etag: str | None) -> None:
    assert EtagCheck(etag, SIZE).only_part_size is None
