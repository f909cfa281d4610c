"""The mark that holds a bucket: of two runs at most one holds it, whatever the order of their requests and whatever the server honours."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.errors import CannotStart, StoreError
from migrator.stores.lock_mark import LockMark, busy, read_mark
from migrator.stores.reserved_names import LOCK_PREFIX
from migrator.stores.s3.lock import DOOR, BucketLock, marks_in, remove_marks
from migrator.stores.s3.source import S3Source
from tests.backends import S3_KINDS, S3Backend
from tests.conftest import FreshNames
from tests.fakes import quick_patience
from tests.servers import Servers


def fails(status: int, code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


@dataclass
class Bucket:
    """A bucket as one dialect of S3. `condition`: honoured, ignored or refused; `stale`: listings show nothing new."""

    condition: str = "honoured"
    stale: bool = False
    denied: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)


class Client:
    """What `BucketLock` calls of boto3's client; `step` is called before each request."""

    def __init__(self, bucket: Bucket, step: Any = lambda: None) -> None:
        self._bucket, self._step = bucket, step

    def put_object(self, *, Key: str, Body: bytes, IfNoneMatch: str = "", **_: Any) -> None:
        self._step()
        if self._bucket.denied == "PutObject":
            raise fails(403, "AccessDenied", "PutObject")
        if IfNoneMatch and self._bucket.condition == "refused":
            raise fails(501, "NotImplemented", "PutObject")
        if IfNoneMatch and self._bucket.condition == "honoured" and Key in self._bucket.objects:
            raise fails(412, "PreconditionFailed", "PutObject")
        self._bucket.objects[Key] = Body

    def get_object(self, *, Key: str, **_: Any) -> Any:
        self._step()
        if Key not in self._bucket.objects:
            raise fails(404, "NoSuchKey", "GetObject")
        return {"Body": io.BytesIO(self._bucket.objects[Key])}

    def delete_object(self, *, Key: str, **_: Any) -> None:
        self._step()
        self._bucket.objects.pop(Key, None)

    def list_objects_v2(self, *, Bucket: str, Prefix: str, **_: Any) -> Any:
        self._step()
        found = {} if self._bucket.stale else self._bucket.objects
        contents = [
            {"Key": key, "Size": len(found[key]), "ETag": '"x"', "LastModified": datetime.now(timezone.utc)}
            for key in sorted(found)
            if key.startswith(Prefix)
        ]
        return {"Name": Bucket, "Prefix": Prefix, "IsTruncated": False, "KeyCount": len(contents), "Contents": contents}


class Turns:
    """Lets one of two threads go on at a time, in an order that is given; after its end, whoever is there."""

    def __init__(self, order: list[bool]) -> None:
        self._order, self._at = order, 0
        self._ended: set[bool] = set()
        self._changed = threading.Condition()

    def _whose(self) -> bool:
        wanted = self._order[self._at] if self._at < len(self._order) else bool(self._at % 2)
        return wanted if wanted not in self._ended else not wanted

    def step(self, who: bool) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._whose() == who, 20)
            self._at += 1
            self._changed.notify_all()

    def end(self, who: bool) -> None:
        with self._changed:
            self._ended.add(who)
            self._changed.notify_all()


def lock(client: Any, run: str, pause: Any = lambda seconds: None) -> BucketLock:
    mark = LockMark(run=run, host="here", pid=1, began_at=100.0)
    return BucketLock(client, "bucket", mark, retry=lambda call: call(), pause=pause)


@settings(max_examples=150, deadline=None)
@given(
    order=st.lists(st.booleans(), max_size=40),
    dialects=st.tuples(st.sampled_from(["honoured", "ignored", "refused"]), st.sampled_from(["honoured", "ignored"])),
)
def test_of_two_runs_exactly_one_holds_the_bucket(order: list[bool], dialects: tuple[str, str]) -> None:
    """Also where one comes by a gateway that ignores the condition: both see the same objects."""
    objects: dict[str, bytes] = {}
    turns = Turns(order)
    other: dict[bool, LockMark | None] = {}

    def run(who: bool) -> None:
        try:
            client = Client(Bucket(condition=dialects[who], objects=objects), lambda: turns.step(who))
            other[who] = lock(client, f"run-{int(who)}", lambda seconds: turns.step(who)).take()
        finally:
            turns.end(who)

    threads = [threading.Thread(target=run, args=(who,)) for who in (False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    holders = [who for who in (False, True) if other[who] is None]
    assert len(holders) == 1
    assert f"{LOCK_PREFIX}run-{int(holders[0])}" in objects
    assert f"{LOCK_PREFIX}run-{int(not holders[0])}" not in objects


@pytest.mark.parametrize("condition", ["honoured", "ignored", "refused"])
def test_a_mark_is_there_until_it_is_released_and_says_who_holds_the_bucket(condition: str) -> None:
    bucket = Bucket(condition=condition)
    first = lock(Client(bucket), "first")
    assert first.take() is None
    assert first.is_held()
    assert lock(Client(bucket), "second").take() == LockMark(run="first", host="here", pid=1, began_at=100.0)
    assert first.take() is None, "the same bucket at the other end, under another name of its server"
    first.release()
    assert bucket.objects == {}
    assert not first.is_held()
    assert lock(Client(bucket), "second").take() is None


def test_a_mark_that_a_kill_left_is_removed_by_its_run_alone() -> None:
    bucket = Bucket()
    lock(Client(bucket), "killed").take()
    client: Any = Client(bucket)
    assert remove_marks(client, "bucket", "another", lambda call: call()) == 0
    assert remove_marks(client, "bucket", "killed", lambda call: call()) == 2
    assert lock(client, "next").take() is None


@pytest.mark.parametrize(
    "content",
    [b"", b"not json", b"[]", b"{}", b'{"run": 1}', b"\xff\xfe", b'{"run":"x","host":"","pid":1e999,"began_at":0}'],
)
def test_a_mark_that_says_nothing_holds_too_and_is_known_by_its_name(content: bytes) -> None:
    bucket = Bucket(objects={f"{LOCK_PREFIX}odd": content})
    assert lock(Client(bucket), "mine").take() == LockMark(run="odd")
    assert remove_marks(Client(bucket), "bucket", "odd", lambda call: call()) == 1  # type: ignore[arg-type]


def test_a_run_whose_own_mark_is_not_listed_holds_nothing() -> None:
    """Its listings are stale, so it could not see another run's mark either."""
    bucket = Bucket(stale=True)
    with pytest.raises(CannotStart) as caught:
        lock(Client(bucket), "mine").take()
    assert caught.value.name == "place-not-lockable"
    assert bucket.objects == {}


def test_a_run_that_may_not_put_a_mark_is_told_the_rights() -> None:
    with pytest.raises(CannotStart, match="iam-policy --for prune") as caught:
        lock(Client(Bucket(denied="PutObject")), "mine").take()
    assert caught.value.name == "place-not-lockable"


def test_a_failure_in_between_leaves_no_mark() -> None:
    bucket = Bucket()
    calls = iter(range(100))

    def breaks() -> None:
        if next(calls) == 3:
            raise fails(500, "InternalError", "ListObjectsV2")

    with pytest.raises(StoreError):
        lock(Client(bucket, breaks), "mine").take()
    assert bucket.objects == {}


@pytest.mark.parametrize(
    ("age", "words"), [(5, "5 seconds"), (3700, "1 hour"), (90_000 * 3, "3 days"), (-5, "0 seconds")]
)
def test_the_age_host_and_command_are_told(age: float, words: str) -> None:
    mark = LockMark(run="r1", host="db1", pid=7, began_at=1000.0)
    error = busy("s3://b", mark, now=1000.0 + age, command="bytes-migrator prune --from a --to b", is_gone=False)
    assert f"begun {words} ago on host db1, process 7" in error.what
    assert "bytes-migrator prune --from a --to b --break-lock r1" in error.cure
    assert read_mark(mark.as_bytes(), "x") == mark


@pytest.fixture(params=[*S3_KINDS, "rclone-one"])
def place(request: pytest.FixtureRequest, servers: Servers, fresh_names: FreshNames) -> Iterator[S3Backend]:
    kind: str = request.param
    backend = S3Backend(kind, servers.get(kind.partition("-")[0]), fresh_names)
    yield backend
    backend.close()


def test_on_real_servers_one_of_four_at_once_holds_it_and_nobody_takes_marks_for_raw_files(place: S3Backend) -> None:
    place.add_stray("org", "abc-notes.txt")
    sources = [place.source() for _ in range(4)]
    bucket = sources[0].bucket_of("org")  # type: ignore[attr-defined]
    start, answers = threading.Barrier(4), dict[int, LockMark | None]()

    def run(number: int) -> None:
        source = sources[number]
        assert isinstance(source, S3Source)
        mark = LockMark(run=f"run-{number}", host="here", pid=1, began_at=1.0)
        retry, pause = quick_patience().run, threading.Event().wait
        mine = BucketLock(source.client, bucket, mark, retry=retry, pause=pause)
        start.wait(10)
        answers[number] = mine.take()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    [holder] = [number for number, other in answers.items() if other is None]
    source = sources[0]
    assert isinstance(source, S3Source)
    marks = marks_in(source.client, bucket, quick_patience().run)
    assert {one.key for one in marks} >= {f"{LOCK_PREFIX}run-{holder}"}
    assert {one.mark.run for one in marks if one.key != DOOR} == {f"run-{holder}"}
    told: list[Any] = []
    assert list(source.organizations(told.append)) in (["org"], [])
    source.scan_strays("org", told.append)
    assert not [notice for notice in told if LOCK_PREFIX in notice.where]
