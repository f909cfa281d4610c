"""Rows 65 to 73 of the fault matrix: a ledger that is gone, wrong or of somebody else, and others at work. More is in tests/unit/ledger."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.ledger import record_codec
from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import MIGRATE
from tests.faults.bench import FILES, Bench, all_copied, bench, first_do, plain_bench, put
from tests.faults.proxy import proxy_before
from tests.servers import S3Server

pytestmark = pytest.mark.one_process


@pytest.fixture
def state(hermetic: Path) -> Path:
    return hermetic / "state" / "bytes-migrator"


def ledgers(state: Path) -> list[Path]:
    return sorted(state.glob("*.sqlite3"))


def forget_one(moved: Bench) -> oracle.RawFileName:
    """One object goes away behind the ledger's back."""
    name = min(moved.expected)
    moved.client.delete_object(Bucket=moved.naming.bucket, Key=moved.key(name))
    return name


@pytest.mark.row(65)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_without_its_ledger_a_run_looks_again_and_sends_nothing_twice(
    direction: str, each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path, state: Path
) -> None:
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)
        if direction == "down":
            moved.fill()
        all_copied(moved.run(direction, "--settle", "0"))
        shutil.rmtree(state)
        sent = proxy.seen.bytes_up["PUT"]
        fetched = proxy.seen.bytes_down["GET"]
        document = moved.converges(direction)
        assert ends.files(document) == {"discovered": FILES, "present": FILES}
        assert proxy.seen.bytes_up["PUT"] - sent < 1000, "what was there was sent again"
        if direction == "down":
            assert proxy.seen.bytes_down["GET"] - fetched < sum(seen.size for seen in moved.expected.values())


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def another_format(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE done (name TEXT)")
    connection.close()


def flipped_at_random(path: Path) -> None:
    content = bytearray(path.read_bytes())
    generator = random.Random(7)
    for _ in range(200):
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


DAMAGES = [cut_off, zeroed, emptied, another_format, flipped_at_random]


@pytest.mark.row(66)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_set_aside_and_nothing_is_believed(
    damage: Callable[[Path], None], weed: S3Server, fresh_names: FreshNames, few: Path, state: Path
) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    all_copied(moved.up("--settle", "0"), 10)
    [ledger] = ledgers(state)
    forget_one(moved)
    damage(ledger)
    document = moved.converges("up")
    assert ends.files(document) == {"discovered": 10, "present": 9, "copied": 1}
    if damage is not flipped_at_random:
        assert "ledger-rebuilt" in ends.findings(document)
        assert list(state.glob("*.corrupt-*"))


@pytest.mark.row(67)
def test_a_forged_ledger_brings_nothing_out_of_the_tree_and_hides_nothing_for_long(
    weed: S3Server, fresh_names: FreshNames, few: Path, state: Path, tmp_path: Path
) -> None:
    """Uploads with keys that lead out of the tree or to others' objects, with true seals: they are looked at, and not followed."""
    moved = plain_bench(weed, fresh_names, few, {})
    corpus.make_store(few, {"zaandam": 0}, large=[ends.LARGE])
    moved.expected = oracle.disk_state(few)
    all_copied(moved.up(), 11)
    name = next(name for name in moved.expected if name[0] == "zaandam")
    ends.make_bucket(moved.client, f"{fresh_names.bucket}-other")
    foreign = moved.client.create_multipart_upload(Bucket=f"{fresh_names.bucket}-other", Key=f"x/{name[1]}")["UploadId"]
    [ledger] = ledgers(state)
    with sqlite3.connect(ledger) as connection:
        [(body,)] = connection.execute("SELECT body FROM facts WHERE kind = 'binding'").fetchall()
        sealer = record_codec.Sealer(*record_codec.read_binding(record_codec.decode(body)))  # type: ignore[misc]
        forged = record_codec.encode(
            [f"{fresh_names.bucket}-other", f"x/{name[1]}", foreign, 8 << 20, "1 2 3", 1_700_000_000.0]
        )
        row = ("upload", record_codec.key_of("zaandam"), record_codec.key_of(name[1]), forged)
        connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", (*row, sealer.seal(*row)))
    connection.close()
    moved.client.delete_object(Bucket=fresh_names.bucket, Key=moved.key(name))
    document = moved.up().expect(0).json()
    assert ends.files(document)["copied"] == 1
    moved.assert_all_in_bucket()
    assert oracle.uploads(moved.client, f"{fresh_names.bucket}-other") == [f"x/{name[1]}"], (
        "another's upload was aborted"
    )
    assert moved.uploads() == []


@pytest.mark.row(68)
def test_a_ledger_of_other_locations_is_refused_with_both_named(
    weed: S3Server, fresh_names: FreshNames, few: Path, state: Path, tmp_path: Path
) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    moved.run("across").expect(0)
    [of_disks] = ledgers(state)
    moved.up().expect(0)
    [of_s3] = [path for path in ledgers(state) if path != of_disks]
    shutil.copy(of_s3, of_disks)
    done = moved.run("across").expect(3)
    error = done.json()["error"]
    assert error["name"] == "ledger-of-other-locations"
    assert fresh_names.bucket in error["what"]
    assert str(moved.fresh) in error["what"]


@pytest.mark.row(70)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_while_a_run_is_on_neither_direction_can_be_begun_again(
    direction: str, weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    """The other direction between the same two ends."""
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, data, {})
        moved.fresh = moved.data
        refused: list[command.Completed] = []
        one = threading.Event()

        def begin_another() -> None:
            if not one.is_set():
                one.set()
                refused.append(moved.run(direction))

        proxy.rules = [put(first_do(begin_another), nth=frozenset([20]), name="another")]
        all_copied(moved.up())
        assert refused[0].status == 4
        assert refused[0].json()["error"]["name"] == "ledger-busy"


@pytest.mark.row(71)
def test_two_machines_at_once_without_a_common_ledger(
    server: S3Server, lane: dict[str, str], fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    corpus.make_store(data, {"zaandam": 0}, large=[ends.LARGE])
    moved = plain_bench(server, fresh_names, data, lane)
    ends.make_bucket(moved.client, fresh_names.bucket)
    with (
        moved.start("up", "--state-dir", str(tmp_path / "one")) as one,
        moved.start("up", "--state-dir", str(tmp_path / "two")) as two,
    ):
        documents = [process.finish().expect(0).json() for process in (one, two)]
    for document in documents:
        oracle.assert_adds_up(document)
        files = ends.files(document)
        assert files.get("copied", 0) + files.get("present", 0) == FILES + 1
    moved.assert_all_in_bucket()
    assert moved.uploads() == []


@pytest.mark.row(72)
def test_what_bytes_saves_meanwhile_comes_with_the_next_run(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    """New raw files in folders that this run has done already, in others, and of a new organization."""
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, data, each_lane)

        def save_more() -> None:
            first = min(moved.expected)
            corpus.add_raw_file(
                data, first[0], b"in a folder that was done", f"{first[1][:4]}0000-1111-4222-8333-444455556666"
            )
            corpus.add_raw_file(data, "zaandam", b"of a new organization")

        proxy.rules = [put(first_do(save_more), nth=frozenset([55]), name="save")]
        first = moved.up("--settle", "0").expect(0).json()
        oracle.assert_adds_up(first)
        assert proxy.seen.faults["save"] == 1
        moved.expected = oracle.disk_state(data)
        assert len(moved.expected) == FILES + 2
        moved.assert_nothing_wrong_in_bucket()
        document = moved.converges("up")
        assert ends.files(first)["copied"] + ends.files(document).get("copied", 0) == FILES + 2


@pytest.mark.row(73)
def test_another_naming_half_way_is_another_target(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, data, {})
        held = threading.Event()

        def hold(exchange: object) -> None:
            held.set()
            proxy.ended.wait()

        proxy.rules = [put(hold, nth=frozenset(range(40, 10_000)), name="hold")]
        with moved.start("up") as process:
            assert process.wait_for(held.is_set), process.output_so_far()
            process.kill()
        proxy.calm()
        each = ends.per_organization(fresh_names)
        words = (*MIGRATE, "--from", data, "--to", ends.template(each))
        document = all_copied(command.run(*words, env=moved.whole_env))
        oracle.assert_adds_up(document)
        oracle.assert_same_contents(moved.expected, oracle.s3_state(moved.client, each))
        moved.assert_nothing_wrong_in_bucket()
        moved.converges("up")
        for naming in (each, moved.naming):
            oracle.assert_same_contents(moved.expected, oracle.s3_state(moved.client, naming))
