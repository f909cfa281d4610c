"""Rows 34 to 58 of the fault matrix, as far as `test_bulk_lane` has not got them: large files, HTTPS, servers that die, other writers."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import LARGE
from tests.faults import proxy as faults
from tests.faults.bench import (
    BEGIN,
    FILES,
    PART,
    ProxyBench,
    all_copied,
    bench,
    complete,
    first_do,
    get,
    one_at_a_time,
    part,
    path_of,
    plain_bench,
    put,
)
from tests.faults.certificates import Certificates
from tests.faults.proxy import LISTING, RAW_FILE, Exchange, Rule, proxy_before
from tests.faults.without_wire import without_pycurl
from tests.servers import PrivateServer, S3Server

Private = Callable[[str], PrivateServer]


def begun(moved: ProxyBench) -> int:
    """How many multipart uploads were begun."""
    return sum(1 for method, target, _ in moved.proxy.seen.log if method == "POST" and re.search(BEGIN, target))


# --- large files on the way up ---------------------------------------------------------------------------------------

PARTS: dict[str, faults.Fault] = {
    "reset in a part": faults.reset_in_request(1 << 20),
    "reset before the answer": faults.reset_before_answer,
    "the answer lost after the part was stored": faults.lost_answer,
    "a bit of a part flipped": faults.flip_in_request,
    "another ETag answered": faults.wrong_etag,
    "no ETag answered": faults.no_etag,
    "503 for a part": faults.answer(faults.SLOW_DOWN),
    "500 for a part": faults.answer(faults.INTERNAL_ERROR),
    "200 with HTML, and nothing stored": faults.answer(faults.HTML),
}


@pytest.mark.row(34, 35, 37, 39, 40)
@pytest.mark.parametrize("kind", ["weed", "moto"])
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if "flipped" in name or "lost" in name else [pytest.mark.slow]) for name in PARTS],
)
def test_a_part_that_meets_a_fault_arrives_all_the_same(
    name: str, kind: str, lane: dict[str, str], request: pytest.FixtureRequest, fresh_names: FreshNames, large: Path
) -> None:
    """Two of three parts meet it once; one upload is enough."""
    with proxy_before(request.getfixturevalue(kind), part(PARTS[name], nth=frozenset([1, 3]))) as proxy:
        moved = bench(proxy, fresh_names, large, lane)
        done = moved.up()
        assert proxy.seen.faults["part"] == 2
        all_copied(done, 1)
        moved.assert_all_in_bucket()
        assert moved.uploads() == []
        assert begun(moved) == 1


@pytest.mark.row(50)
@pytest.mark.parametrize("name", ["the answer lost after the part was stored", "a bit of a part flipped"])
def test_a_part_that_is_sent_twice_to_a_server_that_dislikes_that(
    name: str, each_lane: dict[str, str], rclone: S3Server, fresh_names: FreshNames, large: Path
) -> None:
    """rclone refuses a part with other content than before; SeaweedFS, above, lists such a part twice."""
    with proxy_before(rclone, part(PARTS[name], nth=frozenset([1]))) as proxy:
        moved = bench(proxy, fresh_names, large, each_lane)
        all_copied(moved.up(), 1)
        assert proxy.seen.faults["part"] == 1
        moved.assert_all_in_bucket()
        assert moved.uploads() == []


COMPLETIONS: dict[str, tuple[faults.Fault, str]] = {
    "executed, the answer lost": (faults.lost_answer, "once"),
    "executed, 200 with nothing": (lambda exchange: _instead(exchange, faults.EMPTY), "once"),
    "executed, then 404": (lambda exchange: _instead(exchange, faults.error(404, "NoSuchUpload")), "once"),
    "executed, 200 with an error": (lambda exchange: _instead(exchange, _error_in_200()), "once"),
    "not executed, 200 with an error": (faults.answer(faults.EMPTY), "again"),
    "not executed, 500": (faults.answer(faults.INTERNAL_ERROR), "once"),
}


def _instead(exchange: Exchange, reply: faults.Reply) -> None:
    exchange.forward()
    exchange.reply(reply)


def _error_in_200() -> faults.Reply:
    failed = faults.error(500, "InternalError")
    return faults.Reply(200, failed.headers, failed.body)


@pytest.mark.row(37, 45)
@pytest.mark.parametrize("kind", ["weed", pytest.param("rclone", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", COMPLETIONS)
def test_whether_an_upload_was_completed_the_object_itself_tells(
    name: str, kind: str, request: pytest.FixtureRequest, fresh_names: FreshNames, large: Path
) -> None:
    fault, uploads = COMPLETIONS[name]
    with proxy_before(request.getfixturevalue(kind), complete(fault, nth=frozenset([1]))) as proxy:
        moved = bench(proxy, fresh_names, large, {})
        done = moved.up("--patience", "10")
        assert proxy.seen.faults["complete"] == 1
        if uploads == "again":  # it may be completing still, so the same run neither aborts nor begins anew
            assert [one["code"] for one in done.expect(1).json()["problems"]] == ["completed-not-seen"]
            done = moved.up()
        all_copied(done, 1)
        moved.assert_all_in_bucket()
        assert moved.uploads() == []
        if uploads == "once" and name.split(maxsplit=1)[0] == "executed,":
            assert begun(moved) == 1, "what was there already was uploaded again"


@pytest.mark.row(49)
@pytest.mark.parametrize("kind", ["weed", "moto", "rclone"])
def test_an_upload_that_somebody_else_aborts_begins_anew_once(
    kind: str, lane: dict[str, str], request: pytest.FixtureRequest, fresh_names: FreshNames, large: Path
) -> None:
    with proxy_before(request.getfixturevalue(kind)) as proxy:
        moved = bench(proxy, fresh_names, large, lane)

        def abort() -> None:
            where = {"Bucket": fresh_names.bucket}
            for upload in moved.client.list_multipart_uploads(**where).get("Uploads", ()):
                moved.client.abort_multipart_upload(**where, Key=upload["Key"], UploadId=upload["UploadId"])

        proxy.rules = [part(first_do(abort), nth=frozenset([2]))]
        done = moved.up()
        assert proxy.seen.faults["part"] == 1
        all_copied(done, 1)
        assert begun(moved) == 2
        moved.assert_all_in_bucket()
        assert moved.uploads() == []


@pytest.mark.row(51)
def test_uploads_of_others_are_never_touched(
    weed: S3Server, fresh_names: FreshNames, large: Path, each_lane: dict[str, str]
) -> None:
    """Under the very name of a raw file too."""
    moved = plain_bench(weed, fresh_names, large, each_lane)
    [name] = moved.expected
    ends.make_bucket(moved.client, fresh_names.bucket)
    for key in (moved.key(name), "alpha/somebody-elses"):
        upload = moved.client.create_multipart_upload(Bucket=fresh_names.bucket, Key=key)["UploadId"]
        moved.client.upload_part(
            Bucket=fresh_names.bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 5 * corpus.MIB
        )
    all_copied(moved.up(), 1)
    moved.assert_all_in_bucket()
    assert moved.uploads() == sorted([moved.key(name), "alpha/somebody-elses"])


# --- large files on the way down -------------------------------------------------------------------------------------

RANGES: dict[str, faults.Fault] = {
    "reset in the body": faults.reset_in_answer(),
    "the body ends early": faults.cut(),
    "the body ends early, of unknown length": faults.cut(tells_length=False),
    "a longer body": faults.add(b"more"),
    "a bit flipped": faults.flip_in_answer,
    "the range is ignored": faults.ignore_range,
    "another range is answered": faults.wrong_content_range,
    "another ETag is answered": faults.wrong_etag,
    "503": faults.answer(faults.SLOW_DOWN),
    "200 with HTML": faults.answer(faults.HTML),
}
ALWAYS = ("reset in the body", "a bit flipped", "the range is ignored", "another range is answered")


@pytest.mark.row(37, 38, 39, 41)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ALWAYS else [pytest.mark.slow]) for name in RANGES]
)
def test_a_range_that_meets_a_fault_is_fetched_again(
    name: str, lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, large: Path
) -> None:
    with proxy_before(weed, get(RANGES[name], nth=frozenset([1, 3]))) as proxy:
        moved = bench(proxy, fresh_names, large, lane)
        moved.fill()
        done = moved.down()
        assert proxy.seen.faults["get"] == 2
        all_copied(done, 1)
        moved.assert_all_on_disk()


@pytest.mark.row(41)
@pytest.mark.parametrize("name", ["the range is ignored", "another range is answered"])
def test_ranges_that_are_never_what_was_asked_for_are_not_believed(
    name: str, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, large: Path
) -> None:
    with proxy_before(weed, get(RANGES[name])) as proxy:
        moved = bench(proxy, fresh_names, large, each_lane)
        moved.fill()
        done = moved.down("--patience", "2")
        moved.after("down", done)
        assert done.status == 0 or oracle.disk_state(moved.fresh) == {}
        proxy.calm()
        moved.converges("down")


@pytest.mark.row(39)
def test_damage_that_comes_again_in_each_answer_is_no_content(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, large: Path
) -> None:
    """An ETag of parts may be of any part size, so two readings decide where it fits none: not by the same requests."""
    with proxy_before(weed, get(faults.flip_in_answer)) as proxy:
        moved = bench(proxy, fresh_names, large, each_lane)
        moved.fill()
        done = moved.down().expect(1)
        moved.after("down", done)
        assert [problem["code"] for problem in done.json()["problems"]] == ["unsteady-content"]
        proxy.calm()
        moved.converges("down")


@pytest.mark.row(41, 53)
def test_a_server_that_answers_ranges_with_200(
    lane: dict[str, str], rclone: S3Server, fresh_names: FreshNames, large: Path
) -> None:
    """rclone's, whose bucket also answers its owner's second creation as if it were another's."""
    moved = plain_bench(rclone, fresh_names, large, lane)
    all_copied(moved.up(), 1)
    all_copied(moved.down(), 1)
    moved.assert_all_on_disk()


# --- over TLS --------------------------------------------------------------------------------------------------------


@pytest.mark.row(34, 37, 38, 39, 40, 64)
@pytest.mark.parametrize("kind", ["weed", "moto"])
def test_the_same_over_https(
    kind: str,
    lane: dict[str, str],
    request: pytest.FixtureRequest,
    fresh_names: FreshNames,
    few: Path,
    certificates: Certificates,
) -> None:
    corpus.make_store(few, {"zaandam": 0}, large=[LARGE])
    rules = (
        put(faults.flip_in_request, nth=frozenset([2]), name="flip up"),
        put(faults.lost_answer, nth=frozenset([5]), name="lost"),
        part(faults.flip_in_request, nth=frozenset([2]), name="flip in a part"),
        part(faults.reset_in_request(1 << 20), nth=frozenset([3]), name="reset in a part"),
        get(faults.flip_in_answer, nth=frozenset([3]), name="flip down"),
        get(faults.cut(), nth=frozenset([5]), name="cut"),
        get(faults.answer(faults.SLOW_DOWN), nth=frozenset([7]), name="slow down"),
    )
    trust = {"AWS_CA_BUNDLE": str(certificates.ca)}
    with proxy_before(request.getfixturevalue(kind), *rules, tls=certificates.good, env=trust) as proxy:
        moved = bench(proxy, fresh_names, few, lane)
        all_copied(moved.up(), 11)
        moved.assert_all_in_bucket()
        all_copied(moved.down(), 11)
        moved.assert_all_on_disk()
        assert set(proxy.seen.faults) == {rule.name for rule in rules}
        assert ("pycurl" in proxy.seen.agents) is not bool(lane)


@pytest.mark.row(64)
@pytest.mark.parametrize("which", ["self_signed", "expired", "of_another_host", "good"])
def test_a_certificate_that_is_not_trusted_is_explained(
    which: str,
    each_lane: dict[str, str],
    weed: S3Server,
    fresh_names: FreshNames,
    few: Path,
    certificates: Certificates,
) -> None:
    """The good one without its CA's bundle is a stranger's too."""
    trust = {} if which == "good" else {"AWS_CA_BUNDLE": str(certificates.ca)}
    with proxy_before(weed, tls=getattr(certificates, which), env=trust) as proxy:
        moved = bench(proxy, fresh_names, few, each_lane)
        done = moved.up().expect(3)
        error = done.json()["error"]
        assert error["name"] == "tls"
        assert "--ca-bundle" in error["cure"]
        assert done.seconds < 30
        assert proxy.seen.log == []


@pytest.mark.row(46, 64)
def test_from_https_to_http_elsewhere_nothing_is_sent(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, few: Path, certificates: Certificates
) -> None:
    with proxy_before(weed) as elsewhere:
        rule = put(faults.redirect(307, elsewhere.server.endpoint_url), name="redirect")
        trust = {"AWS_CA_BUNDLE": str(certificates.ca)}
        with proxy_before(weed, rule, tls=certificates.good, env=trust) as proxy:
            moved = bench(proxy, fresh_names, few, each_lane)
            moved.after("up", moved.up().expect(1))
            assert proxy.seen.faults["redirect"] > 0
        assert elsewhere.seen.log == []


# --- servers that die ------------------------------------------------------------------------------------------------


@pytest.mark.row(47, 48)
@pytest.mark.parametrize("kind", ["rclone", pytest.param("weed", marks=pytest.mark.slow)])
@pytest.mark.timeout(240)
def test_a_server_that_is_killed_and_comes_back_is_waited_for(
    kind: str, lane: dict[str, str], private_server: Private, fresh_names: FreshNames, tmp_path: Path
) -> None:
    """In the middle of parts and of small objects, then in the middle of ranges: it comes back with what it had on its disk."""
    corpus.make_store(tmp_path / "data", {"alpha": 30}, sizes=2_000, large=[LARGE])
    running = private_server(kind)
    with proxy_before(running.server) as proxy:
        moved = bench(proxy, fresh_names, tmp_path / "data", lane)
        proxy.rules = [part(first_do(running.crash_and_restart), nth=frozenset([2]), name="crash")]
        all_copied(moved.up(timeout=200), 31)
        assert proxy.seen.faults["crash"] == 1
        moved.assert_all_in_bucket()
        assert moved.uploads() == []
        proxy.rules = [get(first_do(running.crash_and_restart), nth=frozenset([8]), name="another crash")]
        all_copied(moved.down(timeout=200), 31)
        assert proxy.seen.faults["another crash"] == 1
        moved.assert_all_on_disk()


@pytest.mark.row(47, 52)
def test_a_server_that_comes_back_with_nothing_ends_the_run(
    each_lane: dict[str, str], private_server: Private, fresh_names: FreshNames, data: Path
) -> None:
    """moto keeps everything in memory: its buckets are gone. What is sent from then on waits until it is back."""
    running = private_server("moto")
    with proxy_before(running.server) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        proxy.rules = [put(first_do(running.crash_and_restart), nth=frozenset(range(20, 1_000)), name="crash")]
        done = moved.up().expect(3)
        assert proxy.seen.faults["crash"] >= 1
        assert done.json()["error"]["name"] == "bucket-missing"
        of_bucket = [method for method, path, _ in proxy.seen.log if path.rstrip("/") == f"/{fresh_names.bucket}"]
        assert of_bucket[of_bucket.index("PUT") :] == ["PUT"], (
            "a worker that asks for the bucket makes it anew when it is gone"
        )
        proxy.calm()
        moved.converges("up")


# --- other writers ---------------------------------------------------------------------------------------------------


@pytest.mark.row(52)
def test_a_bucket_that_is_deleted_meanwhile_ends_the_run(
    each_lane: dict[str, str], moto: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    """At moto, for SeaweedFS makes a bucket of a missing one when an administrator writes to it."""
    with proxy_before(moto) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)

        def delete() -> None:
            for key in oracle.keys(moved.client, fresh_names.bucket):
                moved.client.delete_object(Bucket=fresh_names.bucket, Key=key)
            moved.client.delete_bucket(Bucket=fresh_names.bucket)

        proxy.rules = [put(lambda exchange: _after_all_ended(exchange, delete), nth=frozenset([45]), name="delete")]
        done = moved.up("--jobs", "2")
        assert proxy.seen.faults["delete"] == 1
        if done.status != 3:  # the last ones had been sent: the next run finds that nothing is there
            moved.assert_nothing_wrong_in_bucket()
        else:
            assert done.json()["error"]["name"] == "bucket-missing"
        proxy.calm()
        moved.converges("up")


def _after_all_ended(exchange: Exchange, act: Callable[[], None]) -> None:
    for _ in range(20):
        try:
            act()
        except Exception:
            continue
        break
    exchange.reply(exchange.forward())


@pytest.mark.row(52)
def test_a_bucket_that_was_emptied_between_two_runs_is_filled_again(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    """SeaweedFS makes a bucket that is gone anew with the next object, so no error tells; finished folders are not believed blindly."""
    moved = plain_bench(weed, fresh_names, data, each_lane)
    all_copied(moved.up("--settle", "0"))
    moved.client.delete_bucket(Bucket=fresh_names.bucket)
    document = moved.converges("up")
    assert ends.files(document) == {"discovered": FILES, "copied": FILES}


@pytest.mark.row(53)
def test_a_bucket_that_was_made_meanwhile_is_used_if_it_is_ours(
    weed: S3Server, fresh_names: FreshNames, few: Path
) -> None:
    """The first look finds none, and its creation is answered as rclone does: it exists."""
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, few, {})

        def it_exists(exchange: Exchange) -> None:
            ends.make_bucket(moved.client, fresh_names.bucket)
            exchange.reply(faults.error(409, "BucketAlreadyExists"))

        proxy.rules = [Rule(it_exists, "PUT", rf"^/{fresh_names.bucket}/?$", nth=frozenset([1]), name="create")]
        all_copied(moved.up(), 10)
        assert proxy.seen.faults["create"] == 1


@pytest.mark.row(53)
def test_a_bucket_of_somebody_else_is_not_used(weed: S3Server, fresh_names: FreshNames, few: Path) -> None:
    rules = (
        Rule(faults.answer(faults.error(404, "NotFound")), "HEAD", rf"^/{fresh_names.bucket}/?$", tries=1, name="none"),
        Rule(
            faults.answer(faults.error(409, "BucketAlreadyExists")), "PUT", rf"^/{fresh_names.bucket}/?$", name="taken"
        ),
        Rule(faults.answer(faults.error(403, "AccessDenied")), "", rf"^/{fresh_names.bucket}", name="denied"),
    )
    with proxy_before(weed, *rules) as proxy:
        moved = bench(proxy, fresh_names, few, {})
        done = moved.up("--patience", "1").expect(3)
        assert done.json()["error"]["cure"]
        assert proxy.seen.faults["denied"] > 0


@pytest.mark.row(56)
@pytest.mark.parametrize("kind", ["weed", "moto", "rclone"])
def test_a_large_object_that_is_overwritten_between_two_ranges_is_never_mixed(
    kind: str, each_lane: dict[str, str], request: pytest.FixtureRequest, fresh_names: FreshNames, large: Path
) -> None:
    with proxy_before(request.getfixturevalue(kind)) as proxy:
        moved = bench(proxy, fresh_names, large, each_lane)
        moved.fill()
        [name] = moved.expected
        other = os.urandom(LARGE)

        def overwrite() -> None:
            moved.client.put_object(Bucket=fresh_names.bucket, Key=moved.key(name), Body=other)

        # one at a time: moto computes an ETag when it is first asked for, and a wrong one for good where two ask at once
        proxy.rules = [get(one_at_a_time(overwrite, before=2), name="overwrite")]
        done = moved.down()
        assert proxy.seen.faults["overwrite"] > 2
        path_of(large, name).write_bytes(other)
        moved.expected = oracle.disk_state(large)
        document = moved.after("down", done)
        assert ends.files(document) == {"discovered": 1, "copied": 1}, done
        moved.assert_all_on_disk()


@pytest.mark.row(56)
def test_small_objects_that_are_overwritten_after_they_were_listed_come_as_they_are_now(
    each_lane: dict[str, str], server: S3Server, fresh_names: FreshNames, few: Path
) -> None:
    with proxy_before(server) as proxy:
        moved = bench(proxy, fresh_names, few, each_lane)
        moved.fill()
        name = max(moved.expected)

        def overwrite() -> None:
            moved.client.put_object(Bucket=fresh_names.bucket, Key=moved.key(name), Body=b"the new version")

        proxy.rules = [Rule(first_do(overwrite), "GET", f"{name[1]}$", name="overwrite")]
        done = moved.down()
        assert proxy.seen.faults["overwrite"] > 0
        path_of(few, name).write_bytes(b"the new version")
        moved.expected = oracle.disk_state(few)
        document = moved.after("down", done)
        assert ends.files(document) == {"discovered": 10, "copied": 10}
        moved.assert_all_on_disk()


@pytest.mark.row(57)
@pytest.mark.parametrize("size", [3_000, LARGE], ids=["small", "large"])
def test_an_object_that_is_deleted_after_it_was_listed_has_vanished(
    size: int, each_lane: dict[str, str], server: S3Server, fresh_names: FreshNames, few: Path
) -> None:
    name = ("alpha", "ffffff00-1111-4222-8333-444455556666")  # the last: the first look reads the first
    os.truncate(corpus.add_raw_file(few, *name[:1], b"", name[1]), size)
    with proxy_before(server) as proxy:
        moved = bench(proxy, fresh_names, few, each_lane)
        moved.fill()

        def delete() -> None:
            moved.client.delete_object(Bucket=fresh_names.bucket, Key=moved.key(name))

        proxy.rules = [Rule(first_do(delete), "GET", f"{name[1]}$", name="delete")]
        done = moved.down().expect(0)
        path_of(few, name).unlink()
        moved.expected = oracle.disk_state(few)
        document = moved.after("down", done)
        assert ends.files(document) == {"discovered": 11, "copied": 10, "vanished": 1}
        moved.assert_all_on_disk()


# --- servers that tell little ----------------------------------------------------------------------------------------


def _no_etags(exchange: Exchange) -> None:
    """Neither in headers nor in listings."""
    reply = exchange.forward()
    headers = tuple(pair for pair in reply.headers if pair[0].lower() != "etag")
    body = re.sub(rb"<ETag>[^<]*</ETag>", b"", reply.body) if re.search(LISTING, exchange.target) else reply.body
    exchange.reply(faults.Reply(reply.status, headers, body))


def _opaque_etags(exchange: Exchange) -> None:
    """Of every object the same one, that is no digest; a condition on it holds."""
    exchange.headers = tuple(pair for pair in exchange.headers if pair[0].lower() != "if-match")
    reply = exchange.forward()
    headers = tuple((name, '"opaque"' if name.lower() == "etag" else value) for name, value in reply.headers)
    is_listing = re.search(LISTING, exchange.target)
    body = re.sub(rb"<ETag>[^<]*</ETag>", b"<ETag>opaque</ETag>", reply.body) if is_listing else reply.body
    exchange.reply(faults.Reply(reply.status, headers, body))


@pytest.mark.row(55, 58)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_without_etags_contents_are_proven_by_reading(
    direction: str, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, few: Path
) -> None:
    with proxy_before(weed, Rule(_no_etags, name="no etags")) as proxy:
        moved = bench(proxy, fresh_names, few, each_lane)
        if direction == "down":
            moved.fill()
        document = all_copied(moved.run(direction), 10)
        if direction == "up":
            moved.assert_all_in_bucket()
            assert "no MD5" in ends.findings(document)["server-abilities"]["seen"]
        else:
            moved.assert_all_on_disk()


@pytest.mark.row(58)
def test_equal_contents_with_an_etag_that_tells_nothing_are_present_and_others_in_conflict(
    each_lane: dict[str, str], moto: S3Server, fresh_names: FreshNames, few: Path
) -> None:
    """At moto, which reads though If-Match names the ETag that only the proxy has told."""
    with proxy_before(moto) as proxy:
        moved = bench(proxy, fresh_names, few, each_lane)
        moved.fill()
        different = max(name for name, seen in moved.expected.items() if seen.size)
        size = moved.expected[different].size
        moved.client.put_object(Bucket=fresh_names.bucket, Key=moved.key(different), Body=b"~" * size)
        proxy.rules = [Rule(_opaque_etags, name="opaque")]
        document = moved.up().expect(1).json()
        oracle.assert_adds_up(document)
        assert ends.files(document) == {"discovered": 10, "present": 9, "conflict": 1}
        assert proxy.seen.faults["opaque"] > 0


# --- slow, and not at all --------------------------------------------------------------------------------------------


@pytest.mark.row(42)
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_a_body_that_crawls_is_given_up_and_asked_for_again(
    size: str, direction: str, lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    """Five bytes a second. It takes a minute to be sure."""
    bytes_each = LARGE if size == "large" else 400_000
    corpus.make_store(tmp_path / "data", {"alpha": 0}, large=[bytes_each])
    crawl = faults.slowly(0.2) if direction == "down" else _reads_slowly
    method = "GET" if direction == "down" else "PUT"
    path = PART if (size, direction) == ("large", "up") else RAW_FILE
    with proxy_before(weed, Rule(crawl, method, path, nth=frozenset([1]), name="crawl")) as proxy:
        moved = bench(proxy, fresh_names, tmp_path / "data", lane)
        if direction == "down":
            moved.fill()
        done = moved.run(direction, timeout=300)
        assert proxy.seen.faults["crawl"] == 1
        all_copied(done, 1)
        assert done.seconds < 200


def _reads_slowly(exchange: Exchange) -> None:
    while exchange.some_of_body(1):
        if exchange.proxy.ended.wait(0.2):
            exchange.hang_up()
    exchange.hang_up()


@pytest.mark.row(42)
def test_a_slow_link_is_no_crawl(weed: S3Server, fresh_names: FreshNames, large: Path, tmp_path: Path) -> None:
    """A part that takes longer than boto3's time limit for one piece arrives with its first try."""
    slow = threading.Event()

    def reads_in_pieces(exchange: Exchange) -> None:
        body = b""
        while piece := exchange.some_of_body(256 << 10):
            body += piece
            slow.wait(0.4)  # 8 MiB take 13 seconds, and every piece of it half a second
        exchange.reply(exchange.forward(body))

    with proxy_before(weed, part(reads_in_pieces, nth=frozenset([1]))) as proxy:
        moved = bench(proxy, fresh_names, large, without_pycurl())
        all_copied(moved.up(), 1)
        sent = [target for _, target, _ in proxy.seen.log if "partNumber=" in target]
        assert len(sent) == 3, "a part was sent again although it moved"
