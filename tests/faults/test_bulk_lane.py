"""Servers that misbehave cost speed, never correctness: through the installed command, with libcurl and without it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.faults import proxy as faults
from tests.faults.bench import FILES, all_copied, bench, put
from tests.faults.proxy import RAW_FILE, Rule, proxy_before
from tests.scripted import Reply, always, scripted
from tests.servers import S3Server

# --- storms that pass ------------------------------------------------------------------------------------------------

EVERYTHING = {"path": RAW_FILE, "name": "f"}
STORMS: dict[str, tuple[Rule, ...]] = {
    "503 for every tenth request": (Rule(faults.answer(faults.SLOW_DOWN), probability=0.1, **EVERYTHING),),
    "503 for every other request": (Rule(faults.answer(faults.SLOW_DOWN), probability=0.5, tries=2, **EVERYTHING),),
    "500, 502 and 429": (
        Rule(
            faults.in_turn(*map(faults.answer, (faults.INTERNAL_ERROR, faults.BAD_GATEWAY, faults.TOO_MANY))),
            probability=0.2,
            tries=1,
            **EVERYTHING,
        ),
    ),
    "resets and keep-alive that is not kept": (
        Rule(faults.reset_before_answer, probability=0.05, seed=1, **EVERYTHING),
        Rule(faults.hang_up_before_answer, probability=0.05, seed=2, **EVERYTHING),
        Rule(faults.hang_up_after_answer, probability=0.2, seed=3, name="hang up"),
    ),
}
SLOW_STORMS = ("503 for every other request", "500, 502 and 429")


@pytest.mark.row(34, 35, 37)
@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(rules, id=name, marks=[pytest.mark.slow] if name in SLOW_STORMS else [])
        for name, rules in STORMS.items()
    ],
)
def test_storms_are_outlasted_both_ways(
    rules: tuple[Rule, ...], each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    with proxy_before(weed, *rules) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        all_copied(moved.up())
        before = proxy.seen.faults["f"]
        assert before > 2
        moved.assert_all_in_bucket()
        all_copied(moved.down())
        assert proxy.seen.faults["f"] > before + 2
        moved.assert_all_on_disk()
        assert ("pycurl" in proxy.seen.agents) is not bool(each_lane), "another lane than this test is for"


@pytest.mark.row(35)
def test_a_server_that_throttles_for_a_while_is_waited_for(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    throttling = put(faults.answer(faults.SLOW_DOWN), nth=frozenset(range(1, 41)))
    with proxy_before(weed, throttling) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        all_copied(moved.up())
        assert proxy.seen.faults["put"] == 40
        moved.assert_all_in_bucket()


# --- every fault at once, and one by one -----------------------------------------------------------------------------

UPWARDS: dict[str, faults.Fault] = {
    "reset in the request": faults.reset_in_request(),
    "answers lost after it was done": faults.lost_answer,
    "a bit of the body flipped": faults.flip_in_request,
    "another ETag answered": faults.wrong_etag,
    "no ETag answered": faults.no_etag,
    "200 with HTML, and nothing done": faults.answer(faults.HTML),
    "200 with nothing, and nothing done": faults.answer(faults.EMPTY),
}
DOWNWARDS: dict[str, faults.Fault] = {
    "reset in the body": faults.reset_in_answer(),
    "the body ends early": faults.cut(),
    "the body ends early, of unknown length": faults.cut(tells_length=False),
    "a body that is too long": faults.add(b"more"),
    "a body that is too long, of unknown length": faults.add(b"more", tells_length=False),
    "a bit of the body flipped": faults.flip_in_answer,
    "another ETag answered": faults.wrong_etag,
    "200 with HTML": faults.answer(faults.HTML),
    "200 with nothing": faults.answer(faults.EMPTY),
}


def each_sometimes(method: str, chosen: Mapping[str, faults.Fault]) -> list[Rule]:
    """Every raw file meets each fault once at most, and most of them none or one."""
    return [
        Rule(fault, method, RAW_FILE, probability=0.08, tries=1, seed=seed, name=name)
        for seed, (name, fault) in enumerate(chosen.items())
    ]


def only(method: str, name: str, fault: faults.Fault) -> list[Rule]:
    return [Rule(fault, method, RAW_FILE, probability=0.2, tries=1, name=name)]


ALL = "all of them"


def choices(method: str, chosen: Mapping[str, faults.Fault]) -> list[Any]:
    together = pytest.param(each_sometimes(method, chosen), id=ALL)
    alone = [pytest.param(only(method, name, fault), id=name, marks=pytest.mark.slow) for name, fault in chosen.items()]
    return [together, *alone]


@pytest.mark.row(37, 39, 40)
@pytest.mark.parametrize("kind", ["weed", "moto"])
@pytest.mark.parametrize("rules", choices("PUT", UPWARDS))
def test_faults_on_the_way_to_s3_leave_whole_objects(
    rules: list[Rule],
    kind: str,
    lane: dict[str, str],
    request: pytest.FixtureRequest,
    fresh_names: FreshNames,
    data: Path,
) -> None:
    with proxy_before(request.getfixturevalue(kind), *rules) as proxy:
        moved = bench(proxy, fresh_names, data, lane)
        done = moved.up("--patience", "5")
        assert set(proxy.seen.faults) == {rule.name for rule in rules}
        if done.status:  # what the server calls written and does not show is not sent again by the same run
            assert {one["code"] for one in done.json()["problems"]} == {"written-not-seen"}
            moved.up().expect(0)
        else:
            all_copied(done)
        moved.assert_all_in_bucket()


@pytest.mark.row(37, 38, 39)
@pytest.mark.parametrize("rules", choices("GET", DOWNWARDS))
def test_faults_on_the_way_to_disk_leave_whole_files(
    rules: list[Rule], lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    with proxy_before(weed, *rules) as proxy:
        moved = bench(proxy, fresh_names, data, lane)
        moved.fill()
        done = moved.down()
        assert set(proxy.seen.faults) == {rule.name for rule in rules}
        moved.assert_all_on_disk()
        all_copied(done)


# --- listings that are none ------------------------------------------------------------------------------------------

BROKEN_LISTINGS: dict[str, faults.Fault] = {
    "empty": faults.answer(faults.EMPTY),
    "HTML": faults.answer(faults.HTML),
    "truncated XML": faults.truncated_xml,
    "another bucket's": faults.of_another_bucket,
    "more, and not where": faults.without_token,
    "always the same token": faults.always_the_same_token,
    "out of order": faults.out_of_order,
    "one name twice": faults.duplicated,
}
PASSING = ("empty", "HTML", "truncated XML", "another bucket's")
LISTED_ALL_THE_SAME = ("more, and not where", "one name twice")
"""A source without a token is asked for what comes after its last key; what it repeats is left out."""
SCAN = r"list-type=2.*max-keys=1000|max-keys=1000.*list-type=2"


@pytest.mark.row(44)
@pytest.mark.parametrize("name", BROKEN_LISTINGS)
def test_a_broken_listing_of_the_target_is_no_empty_target(
    name: str, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    with proxy_before(weed, Rule(BROKEN_LISTINGS[name], "GET", SCAN, name="listing")) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        moved.fill()
        before = oracle.s3_snapshot(proxy.client(), fresh_names.bucket)
        done = moved.up("--patience", "0.5")
        if name == "one name twice":  # what a server repeats is left out: the listing has all names all the same
            assert ends.files(done.expect(0).json()) == {"discovered": FILES, "present": FILES}
            assert oracle.s3_snapshot(proxy.client(), fresh_names.bucket) == before
            return
        document = done.expect(3).json()
        assert document["error"]["name"] in ("listing-broken", "listing-out-of-order", "server-failed")
        assert proxy.seen.faults["listing"] > 0
        if name != "out of order":  # which is noticed only after some names were compared
            assert proxy.seen.requests["PUT"] <= 5, "something beside the first look's own object was written"
        assert oracle.s3_snapshot(proxy.client(), fresh_names.bucket) == before


@pytest.mark.row(44)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("HTML", "out of order") else pytest.mark.slow)
        for name in BROKEN_LISTINGS
    ],
)
def test_a_broken_listing_of_the_source_hides_nothing(
    name: str, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    rule = Rule(BROKEN_LISTINGS[name], "GET", f"(?=.*({SCAN}))(?=.*prefix=b1)", name="listing")
    with proxy_before(weed, rule) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        moved.fill()
        done = moved.down("--patience", "0.5")
        assert proxy.seen.faults["listing"] > 0
        if name in LISTED_ALL_THE_SAME:
            all_copied(done)
            moved.assert_all_on_disk()
            return
        done.expect(3)
        moved.assert_nothing_wrong_on_disk()


@pytest.mark.row(44)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ("empty", "HTML") else pytest.mark.slow) for name in PASSING]
)
def test_a_listing_that_is_broken_once_is_asked_again(
    name: str, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    with proxy_before(weed, Rule(BROKEN_LISTINGS[name], "GET", SCAN, tries=1, name="listing")) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        moved.fill()
        all_copied(moved.down())
        assert proxy.seen.faults["listing"] > 1
        moved.assert_all_on_disk()


# --- what does not pass ----------------------------------------------------------------------------------------------


@pytest.mark.row(34, 36)
def test_a_server_that_fails_for_good_ends_the_run_in_words(
    lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    with proxy_before(weed, put(faults.answer(faults.INTERNAL_ERROR), nth=frozenset(range(31, 100_000)))) as proxy:
        moved = bench(proxy, fresh_names, data, lane)
        stopped = moved.up("--patience", "3").expect(3)
        error = stopped.json()["error"]
        assert error["name"] == "server-failed"
        assert "Nothing has succeeded for 3 seconds." in error["why"]
        assert "rerun the same command" in error["cure"].lower()
        assert stopped.seconds < 30
        moved.assert_nothing_wrong_in_bucket()
        there = len(oracle.s3_listing(proxy.client(), moved.naming))
        assert there == 30
        proxy.calm()
        document = moved.up().expect(0).json()
        oracle.assert_adds_up(document)
        assert ends.files(document) == {"discovered": FILES, "copied": FILES - there, "present": there}
        moved.assert_all_in_bucket()


@pytest.mark.row(46)
@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_nothing_is_sent_to_another_host(
    method: str, status: int, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    with scripted(always(Reply())) as elsewhere:
        rule = Rule(faults.redirect(status, elsewhere.url), method, RAW_FILE, name="redirect")
        with proxy_before(weed, rule) as proxy:
            moved = bench(proxy, fresh_names, data, each_lane)
            if method == "GET":
                moved.fill()
            refused = moved.up() if method == "PUT" else moved.down()
        assert proxy.seen.faults["redirect"] > 0
        assert elsewhere.asked == []
        document = refused.expect(1).json()
        oracle.assert_adds_up(document)
        assert ends.files(document) == {"discovered": FILES, "failed": FILES}
        assert "elsewhere" in ends.problems(document, "failed")[0]["reason"]


@pytest.mark.row(46)
@pytest.mark.parametrize("status", [301, 307])
def test_an_endpoint_that_is_another_servers_is_refused(
    status: int, weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    with scripted(always(Reply())) as elsewhere:
        with proxy_before(weed, Rule(faults.redirect(status, elsewhere.url))) as proxy:
            moved = bench(proxy, fresh_names, data, {})
            refused = moved.up().expect(3)
        assert elsewhere.asked == []
        assert "elsewhere" in refused.json()["error"]["what"]


@pytest.mark.row(43)
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_stalled_request_is_given_up_and_asked_again(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    with proxy_before(weed, Rule(faults.stall, path=RAW_FILE, nth=frozenset([5, 40]), name="stall")) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        all_copied(moved.up())
        assert proxy.seen.faults["stall"] == 2
        moved.assert_all_in_bucket()
