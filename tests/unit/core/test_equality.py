"""Content compared with ETags: what proves equality, what proves difference, and what proves nothing."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from migrator.core.entities import Entry, RawFile
from migrator.core.equality import (
    EtagCheck,
    etag_of_parts,
    has_parts_of,
    is_of_parts,
    is_plain_md5,
    proves,
    refuse_changed,
    same_content,
)
from migrator.core.errors import SourceChanged, Vanished
from migrator.core.size_thresholds import PART_SIZES_IN_USE, SMALLEST_PART
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule
from tests.memory_store import MemoryContent, MemoryStore
from tests.servers import S3Server

MIB = 1 << 20
ONE = RawFile("org", raw_id("0001"))


def multipart_etag(data: bytes, part_size: int) -> str:
    """As AWS describes it."""
    parts = [data[start : start + part_size] for start in range(0, len(data), part_size)] or [b""]
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"


def verdict(etag: str | None, data: bytes, cuts: list[int] | None = None) -> bool | None:
    check = EtagCheck(etag, len(data))
    start = 0
    for cut in [*sorted(cuts or []), len(data)]:
        check.update(data[start:cut])
        start = cut
    first = check.matches()
    assert check.fingerprint == check.fingerprint
    assert check.matches() is first, "asking twice changes nothing"
    return first


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        (hashlib.md5(b"content").hexdigest(), True),
        (hashlib.md5(b"other").hexdigest(), False),
        (multipart_etag(b"content", 8 * MIB), True),
        (multipart_etag(b"other", 8 * MIB), None),
        (f"{'0' * 32}-2", None),
        (f"{'0' * 32}-0", None),
        (hashlib.md5(b"content").hexdigest().upper(), None),
        ("an opaque one", None),
        ("", None),
        (None, None),
    ],
)
def test_what_an_etag_tells(etag: str | None, expected: bool | None) -> None:
    assert verdict(etag, b"content") is expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
@example(b"", [])
def test_any_chunking_gives_the_same_verdict(data: bytes, cuts: list[int]) -> None:
    cuts = [min(cut, len(data)) for cut in cuts]
    assert verdict(hashlib.md5(data).hexdigest(), data, cuts) is True
    assert verdict(multipart_etag(data, 8 * MIB), data, cuts) is True
    assert verdict(hashlib.md5(data + b"!").hexdigest(), data, cuts) is False


LARGE = random.Random(1).randbytes(11 * MIB + 3)


@settings(max_examples=5)
@given(
    st.sampled_from([size for size in PART_SIZES_IN_USE if size < 16 * MIB]),
    st.lists(st.integers(0, len(LARGE)), max_size=4),
    st.sampled_from([0, 3, 4]),
)
@example(8 * MIB, [8 * MIB], 3)
@example(5 * MIB, [5 * MIB - 1, 5 * MIB + 1], 0)
def test_any_part_size_in_use_is_found_however_the_content_is_chunked(size: int, cuts: list[int], less: int) -> None:
    data = LARGE[: len(LARGE) - less]
    etag = multipart_etag(data, size)
    assert verdict(etag, data, [min(cut, len(data)) for cut in cuts]) is True
    broken = bytearray(data)
    broken[len(data) // 2] ^= 1
    assert verdict(etag, bytes(broken)) is None


@pytest.mark.parametrize("size", [10 * MIB + 1, 11 * MIB + 3])
def test_parts_that_are_hashed_already_are_not_hashed_again(size: int) -> None:
    data = LARGE[:size]
    check = EtagCheck(multipart_etag(data, 5 * MIB), size)
    part_size = check.only_part_size
    assert part_size == 5 * MIB, "the only one in use that gives three parts"
    for start in range(0, size, part_size):
        part = data[start : start + part_size]
        check.update(part, hashlib.md5(part).digest())
    assert check.matches() is True
    assert EtagCheck(multipart_etag(data[:1], 8 * MIB), 1).only_part_size is None
    assert EtagCheck(hashlib.md5(data).hexdigest(), size).only_part_size is None


@given(st.binary(max_size=50), st.lists(st.integers(0, 50)))
def test_a_fingerprint_tells_contents_apart_however_they_are_chunked(data: bytes, cuts: list[int]) -> None:
    for etag in (None, "opaque", multipart_etag(b"another", 8 * MIB)):
        prints = []
        for content, places in ((data, cuts), (data, []), (data + b"!", [])):
            check = EtagCheck(etag, len(content))
            for start, end in itertools.pairwise([0, *sorted(min(cut, len(content)) for cut in places), len(content)]):
                check.update(content[start:end])
            prints.append(check.fingerprint)
        assert prints[0] == prints[1] != prints[2]


def test_an_empty_object_of_parts() -> None:
    assert verdict(multipart_etag(b"", SMALLEST_PART), b"") is True


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=5))
def test_the_etag_of_parts(digests: list[bytes]) -> None:
    assert etag_of_parts(digests) == f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
    assert not is_plain_md5(etag_of_parts(digests))


def test_real_servers_make_etags_of_parts_like_this(server: S3Server) -> None:
    client, bucket = server.client(), "readiness-probe"
    data = LARGE
    place = {"Bucket": bucket, "Key": f"of-parts-{random.getrandbits(60)}"}
    upload = client.create_multipart_upload(**place)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(**place, UploadId=upload, PartNumber=number, Body=data[start : start + 5 * MIB])[
                "ETag"
            ],
        }
        for number, start in enumerate(range(0, len(data), 5 * MIB), 1)
    ]
    client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    etag = client.head_object(**place)["ETag"].strip('"')
    assert etag == multipart_etag(data, 5 * MIB)
    assert verdict(etag, data) is True
    client.put_object(**place, Body=data)
    assert verdict(client.head_object(**place)["ETag"].strip('"'), data) is True


# --- same_content ----------------------------------------------------------------------------------------------------


def pair(here: bytes, there: bytes, etags: tuple[bool, bool]) -> tuple[FailingStore, FailingStore]:
    stores = [MemoryStore(etags=has) for has in etags]
    for store, data in zip(stores, (here, there), strict=True):
        store.save(ONE, data)
    return FailingStore(stores[0], Schedule()), FailingStore(stores[1], Schedule())


def compared(
    here: FailingStore, there: FailingStore, *, source_etag: str | None = "", target_etag: str | None = ""
) -> bool:
    ours, theirs = here.stat(ONE), there.stat(ONE)
    assert ours is not None
    assert theirs is not None
    if source_etag != "":
        ours = ours._replace(etag=source_etag)
    if target_etag != "":
        theirs = theirs._replace(etag=target_etag)
    return same_content(ONE, here, ours, there, theirs)


@pytest.mark.parametrize(
    ("etags", "opened"),
    [((True, True), (0, 0)), ((False, True), (1, 0)), ((True, False), (0, 1)), ((False, False), (1, 1))],
)
def test_equal_content_is_proven_by_reading_as_little_as_it_takes(
    etags: tuple[bool, bool], opened: tuple[int, int]
) -> None:
    here, there = pair(b"content", b"content", etags)
    assert compared(here, there)
    assert (here.schedule.calls["open"], there.schedule.calls["open"]) == opened


@pytest.mark.parametrize("etags", [(True, True), (False, True), (True, False), (False, False)])
def test_difference_is_told_only_after_comparing_contents(etags: tuple[bool, bool]) -> None:
    here, there = pair(b"content", b"CONTENT", etags)
    assert not compared(here, there)
    assert here.schedule.calls["open"] >= 1
    assert there.schedule.calls["open"] >= 1


@pytest.mark.parametrize("etag", ["opaque", f"{'0' * 32}-7", "0" * 32, f"{'1' * 32}-1"])
def test_a_strange_etag_is_no_difference(etag: str) -> None:
    here, there = pair(b"content", b"content", (False, False))
    assert compared(here, there, target_etag=etag)
    assert compared(here, there, source_etag=etag)
    assert compared(here, there, source_etag="opaque", target_etag="opaque")


def test_equal_opaque_etags_prove_nothing() -> None:
    here, there = pair(b"content", b"CONTENT", (False, False))
    assert not compared(here, there, source_etag="opaque", target_etag="opaque")


@pytest.mark.parametrize("method", ["read", "finish", "open"])
@pytest.mark.parametrize("at_source", [True, False])
def test_what_the_stores_raise_comes_out(method: str, at_source: bool) -> None:
    here, there = pair(b"content", b"content", (False, False))
    error = SourceChanged("source-changed", "It changed.") if method == "finish" else Vanished("vanished", "Gone.")
    (here if at_source else there).schedule.always = {method: error}
    with pytest.raises(type(error)):
        compared(here, there)


def test_contents_that_differ_late_differ() -> None:
    """Compared to the end, not by the first piece that is read."""
    size = 2 * MIB + 5
    one = bytes(size)
    for place in (0, MIB - 1, MIB, 2 * MIB, size - 1):
        other = bytearray(one)
        other[place] ^= 1
        here, there = pair(one, bytes(other), (False, False))
        assert not compared(here, there), place
    here, there = pair(one, one, (False, False))
    assert compared(here, there)


@pytest.mark.parametrize("at_source", [True, False])
@pytest.mark.parametrize("change", ["other content", "another time", "gone"])
def test_a_difference_of_what_changed_meanwhile_is_none(change: str, at_source: bool) -> None:
    here, there = pair(b"content", b"CONTENT", (False, False))
    changing = here if at_source else there
    store = changing._store
    assert isinstance(store, MemoryStore)
    had = store.contents()[ONE]

    def act() -> None:
        store.delete(ONE)
        if change != "gone":
            store.save(ONE, b"contents" if change == "other content" else had)

    changing.schedule.at = {("read", 1): act}
    with pytest.raises(SourceChanged) as caught:
        compared(here, there)
    assert caught.value.name == "source-changed"
    assert store.describe(ONE) in caught.value.what


LISTED = Entry(ONE.raw_id, 7, None, 1, 2)
ON_S3 = LISTED._replace(etag="etag")


@pytest.mark.parametrize(
    ("then", "now", "is_refused"),
    [
        (LISTED, LISTED, False),
        (LISTED, None, True),
        (LISTED, LISTED._replace(size=8), True),
        (LISTED, LISTED._replace(modified_ns=3), True),
        (LISTED, LISTED._replace(changed_ns=3), True),
        (ON_S3, ON_S3._replace(modified_ns=3, changed_ns=3), False),
        (ON_S3, ON_S3._replace(size=8), True),
        (ON_S3, ON_S3._replace(etag="another"), True),
    ],
)
def test_what_tells_that_a_raw_file_changed_while_it_was_read(then: Entry, now: Entry | None, is_refused: bool) -> None:
    """On disk its times, on S3 its ETag; its size anywhere."""
    store = MemoryStore(etags=False)
    store.save(ONE, b"content")
    store.stat = lambda raw_file: now  # type: ignore[method-assign]
    with store.open(ONE, then) as content:
        content.entry = then
        with pytest.raises(SourceChanged) if is_refused else nullcontext():
            refuse_changed(ONE, store, content)


class Opened(MemoryStore):
    """Knows as what each raw file was opened."""

    def __init__(self, data: bytes, *, etags: bool) -> None:
        super().__init__(etags=etags)
        self.opened: list[Entry] = []
        self.entry = self.save(ONE, data)

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[MemoryContent]:
        self.opened.append(entry)
        with super().open(raw_file, entry) as content:
            yield content


@pytest.mark.parametrize(
    ("etags", "reads"),
    [((False, False), (True, True)), ((False, True), (True, False)), ((True, False), (False, True))],
)
def test_both_ends_are_opened_as_they_were_listed(etags: tuple[bool, bool], reads: tuple[bool, bool]) -> None:
    """Stores rely on it: what is not as it was listed any more, S3 refuses to send."""
    here, there = (Opened(b"content", etags=each) for each in etags)
    assert same_content(ONE, here, here.entry, there, there.entry)
    assert (here.opened, there.opened) == ([here.entry] * reads[0], [there.entry] * reads[1])


@pytest.mark.parametrize(
    ("etag", "size", "part_size", "expected"),
    [
        (f"{'a' * 32}-3", 11 * MIB, 5 * MIB, True),
        (f"{'a' * 32}-3", 15 * MIB, 5 * MIB, True),
        (f"{'a' * 32}-3", 15 * MIB + 1, 5 * MIB, False),
        (f"{'a' * 32}-2", 10 * MIB + 1, 5 * MIB, False),
        (f"{'a' * 32}-7", 7, 1, True),
        (f"{'a' * 32}-3", 11 * MIB, 0, False),
        ("a" * 32, 11 * MIB, 5 * MIB, False),
        ("opaque", 11 * MIB, 11 * MIB, False),
    ],
)
def test_an_etag_of_as_many_parts(etag: str, size: int, part_size: int, expected: bool) -> None:
    assert has_parts_of(etag, size, part_size) is expected


def test_a_part_size_that_is_known_is_the_only_one_that_is_tried() -> None:
    data = LARGE
    check = EtagCheck(multipart_etag(data, 4 * MIB), len(data), 4 * MIB)  # a size that no tool uses
    assert check.only_part_size == 4 * MIB
    check.update(data)
    assert check.matches() is True
    assert check.fingerprint == multipart_etag(data, 4 * MIB)


@pytest.mark.parametrize(("etag", "expected"), [(None, False), ("", False), ("XXXX", False), (f"{'a' * 32}-2", True)])
def test_the_form_of_a_multipart_uploads_etag(etag: str | None, expected: bool) -> None:
    assert is_of_parts(etag) is expected


def test_an_etag_that_proves_nothing_is_not_worth_reading() -> None:
    here, _ = pair(b"content", b"content", (False, False))
    entry = here.stat(ONE)
    assert entry is not None
    for etag in ("opaque", f"{'0' * 32}-7"):
        assert proves(here, ONE, entry, etag) is False
    assert here.schedule.calls["open"] == 0
    assert proves(here, ONE, entry, multipart_etag(b"content", 8 * MIB)) is True


def test_equal_etags_of_parts_are_proof_enough() -> None:
    here, there = pair(b"content", b"content", (False, False))
    etag = multipart_etag(b"content", 8 * MIB)
    assert compared(here, there, source_etag=etag, target_etag=etag)
    assert (here.schedule.calls["open"], there.schedule.calls["open"]) == (0, 0)
