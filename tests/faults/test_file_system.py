"""Rows 10 to 33 of the fault matrix: full, broken, odd and hostile file systems; raw files that change while they are read."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.transfer.batch_sink import BATCH_FILES
from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import LARGE, MIGRATE
from tests.faults.bench import PART, bench, changing_source, first_do, is_root, part, path_of, plain_bench
from tests.faults.conftest import Mount
from tests.faults.proxy import RAW_FILE, Exchange, Rule, proxy_before
from tests.servers import S3Server
from tests.soak.hostile import stored_while_links_come_and_go

Injected = Callable[..., tuple[str, ...]]

needs_root = pytest.mark.skipif(not is_root(), reason="it takes root to mount file systems and make devices")


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def error_of(done: command.Completed) -> dict[str, str]:
    error: dict[str, str] = done.json()["error"]
    return error


IN_SPITE_OF_THE_FIRST_LOOK = ("--force", "disk-space", "--force", "disk-inodes")
"""The first look finds too little room before anything moves; these tests are for room that others take meanwhile."""

# --- no room ---------------------------------------------------------------------------------------------------------


@pytest.mark.row(10)
def test_a_target_that_gets_full_ends_the_run_with_nothing_torn(
    lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, tmp_path: Path, mount: Mount
) -> None:
    corpus.make_store(tmp_path / "data", {"alpha": 40}, sizes=100_000)
    moved = plain_bench(weed, fresh_names, tmp_path / "data", lane)
    moved.fill()
    moved.fresh = mount("size=2m")
    done = moved.down(*IN_SPITE_OF_THE_FIRST_LOOK).expect(3)
    moved.after("down", done)
    error = error_of(done)
    assert error["name"] == "target-full"
    assert "free" in error["what"], "it does not say how much is free"
    assert done.seconds < 20, "a full disk is no reason to try again and again"
    remount(moved.fresh, "size=64m")
    moved.converges("down")


@pytest.mark.row(10)
def test_a_large_file_that_does_not_fit_leaves_nothing_behind(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, large: Path, mount: Mount
) -> None:
    moved = plain_bench(weed, fresh_names, large, each_lane)
    moved.fill()
    moved.fresh = mount("size=12m")
    assert error_of(moved.down(*IN_SPITE_OF_THE_FIRST_LOOK).expect(3))["name"] == "target-full"
    assert ends.everything_below(moved.fresh) == set()
    remount(moved.fresh, "size=64m")
    moved.converges("down")


@pytest.mark.row(10)
def test_a_full_disk_between_two_disks(few: Path, mount: Mount, weed: S3Server, fresh_names: FreshNames) -> None:
    corpus.make_store(few, {"zaandam": 1}, large=[3 * corpus.MIB])
    moved = plain_bench(weed, fresh_names, few, {})
    moved.fresh = mount("size=2m")
    done = moved.run("across", *IN_SPITE_OF_THE_FIRST_LOOK).expect(3)
    moved.after("across", done)
    assert error_of(done)["name"] == "target-full"
    remount(moved.fresh, "size=64m")
    moved.converges("across")


@pytest.mark.row(11)
@pytest.mark.parametrize("inodes", [6, 21], ids=["for folders", "for files"])
def test_no_inodes_left(inodes: int, few: Path, mount: Mount, weed: S3Server, fresh_names: FreshNames) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    moved.fresh = mount(f"size=16m,nr_inodes={inodes}")
    done = moved.run("across", *IN_SPITE_OF_THE_FIRST_LOOK).expect(3)
    moved.after("across", done)
    assert error_of(done)["name"] == "target-full"
    assert "inodes" in error_of(done)["what"]
    remount(moved.fresh, "nr_inodes=1000")
    moved.converges("across")


@pytest.mark.row(14)
def test_a_limit_on_the_size_of_files_is_a_full_target(
    few: Path, weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    corpus.make_store(few, {"zaandam": 1}, large=[3 * corpus.MIB])
    moved = plain_bench(weed, fresh_names, few, {})
    done = moved.run("across", before=("prlimit", "--fsize=2000000")).expect(3)
    moved.after("across", done)
    assert error_of(done)["name"] == "target-full"
    moved.converges("across")


# --- errors of the medium --------------------------------------------------------------------------------------------


@pytest.mark.row(12)
@pytest.mark.parametrize("size", [5_000, LARGE], ids=["small", "large"])
def test_a_file_that_cannot_be_read_fails_and_the_others_move(
    size: int, lane: dict[str, str], few: Path, weed: S3Server, fresh_names: FreshNames, injected: Injected
) -> None:
    corpus.make_store(few, {"zaandam": 0}, large=[size])
    moved = plain_bench(weed, fresh_names, few, lane)
    broken = next(name for name in moved.expected if name[0] == "zaandam")
    done = moved.up(injected=injected("read,pread64:error=EIO", path=path_of(few, broken))).expect(1)
    document = moved.after("up", done)
    assert ends.files(document) == {"discovered": 11, "copied": 10, "failed": 1}
    assert [problem["id"] for problem in ends.problems(document, "failed")] == [broken[1]]
    assert "Input/output error" in ends.problems(document, "failed")[0]["reason"]
    moved.converges("up")


@pytest.mark.row(13)
@pytest.mark.parametrize("when", ["3", "4", "3+"], ids=["before the names", "after the names", "every time"])
def test_what_cannot_be_made_durable_is_not_called_copied(
    when: str, tmp_path: Path, weed: S3Server, fresh_names: FreshNames, injected: Injected
) -> None:
    """A batch is synced before and after it gets its names: of the second batch one of these fails."""
    corpus.make_store(tmp_path / "data", {"alpha": BATCH_FILES + 100}, sizes="empty")
    moved = plain_bench(weed, fresh_names, tmp_path / "data", {})
    done = moved.run("across", "--jobs", "1", injected=injected(f"syncfs:error=EIO:when={when}"))
    document = moved.after("across", done)
    assert done.status == 3 or ends.files(document)["failed"] > 0
    if when != "4":
        assert ends.everything_below(moved.fresh) == ends.raw_file_paths(moved.fresh), (
            "what may be lost already was kept"
        )
        assert len(oracle.disk_paths(moved.fresh)) < BATCH_FILES + 100
    moved.converges("across")


@pytest.mark.row(13)
def test_a_medium_that_cannot_be_synced_at_all_is_found_out_at_once(
    few: Path, weed: S3Server, fresh_names: FreshNames, injected: Injected
) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    done = moved.run("across", injected=injected("syncfs:error=EIO")).expect(3)
    assert "Input/output error" in error_of(done)["what"]
    assert oracle.disk_state(moved.fresh) == {}
    moved.converges("across")


@pytest.mark.row(15)
def test_a_read_only_target_is_refused_before_anything_moves(
    few: Path, mount: Mount, weed: S3Server, fresh_names: FreshNames
) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    moved.fresh = mount("size=16m")
    remount(moved.fresh, "ro")
    done = moved.run("across").expect(3)
    moved.after("across", done)
    assert "read-only" in error_of(done)["what"].lower()
    remount(moved.fresh, "rw")
    moved.converges("across")


@pytest.mark.row(15)
def test_a_target_that_gets_read_only_ends_the_run(
    each_lane: dict[str, str], tmp_path: Path, mount: Mount, weed: S3Server, fresh_names: FreshNames
) -> None:
    corpus.make_store(tmp_path / "data", {"alpha": 120}, sizes=1_000)
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, tmp_path / "data", each_lane)
        moved.fill()
        moved.fresh = mount("size=16m")
        proxy.rules = [Rule(first_do(lambda: subprocess.run(["mount", "-o", "remount,ro", moved.fresh], check=False)),
                            "GET", RAW_FILE, nth=frozenset([40]), name="remount")]  # fmt: skip
        done = moved.down().expect(3)
        assert proxy.seen.faults["remount"] == 1
        moved.after("down", done)
        assert "Read-only file system" in error_of(done)["what"]
        remount(moved.fresh, "rw")
        moved.converges("down")


@pytest.mark.row(17)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_few_file_descriptors_are_enough(
    direction: str, lane: dict[str, str], data: Path, weed: S3Server, fresh_names: FreshNames
) -> None:
    moved = plain_bench(weed, fresh_names, data, lane)
    if direction == "down":
        moved.fill()
    few = ("prlimit", "--nofile=48")
    moved.after(direction, moved.run(direction, "--patience", "3", before=few).expect(0))
    _, *places = moved.words(direction)
    ends_of_it = places[places.index("--from") :]
    command.run("verify", "--level", "content", *ends_of_it, env=moved.whole_env, before=few).expect(0)
    moved.converges(direction)


# --- raw files that change while they are moved ----------------------------------------------------------------------


def grows(path: Path) -> None:
    with path.open("ab") as content:
        content.write(b"more" * 1000)


def shrinks(path: Path) -> None:
    os.truncate(path, 17 * corpus.MIB)


def is_rewritten(path: Path) -> None:
    """With its size and its modification time as they were; only the change time tells."""
    before = path.stat()
    with path.open("r+b") as content:
        content.seek(before.st_size - 1000)
        content.write(b"other" * 200)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def is_replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"R" * path.stat().st_size)
    other.chmod(corpus.FILE_MODE)
    other.rename(path)


def is_cut_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


CHANGES = [
    pytest.param(grows, marks=pytest.mark.row(19)),
    pytest.param(shrinks, marks=pytest.mark.row(19)),
    pytest.param(is_rewritten, marks=pytest.mark.row(19)),
    pytest.param(is_replaced, marks=pytest.mark.row(20)),
    pytest.param(is_cut_to_nothing, marks=pytest.mark.row(21)),
]


@pytest.mark.row(19, 20, 21)
@pytest.mark.parametrize("change", CHANGES)
def test_a_large_file_that_changes_while_it_is_uploaded_is_uploaded_as_it_is_now(
    change: Callable[[Path], None], lane: dict[str, str], large: Path, weed: S3Server, fresh_names: FreshNames
) -> None:
    """At a first part that is being sent, with the rest still to be read."""
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, large, lane)
        [name] = moved.expected
        proxy.rules = [part(first_do(lambda: change(path_of(large, name))), nth=frozenset([1]), name="change")]
        with changing_source(moved):
            done = moved.up()
        assert proxy.seen.faults["change"] == 1
        document = moved.after("up", done)
        assert ends.files(document) == {"discovered": 1, "copied": 1}, done
        moved.assert_all_in_bucket()
        assert moved.uploads() == []


@pytest.mark.row(19)
def test_a_file_that_never_holds_still_is_told_and_never_uploaded_torn(
    lane: dict[str, str], large: Path, weed: S3Server, fresh_names: FreshNames
) -> None:
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, large, lane)
        [name] = moved.expected
        proxy.rules = [part(first_do(lambda: grows(path_of(large, name)), once=False), name="change")]
        with changing_source(moved):
            done = moved.up().expect(1)
        document = moved.after("up", done)
        assert ends.files(document) == {"discovered": 1, "failed": 1}
        assert "changed while it was read" in ends.problems(document, "failed")[0]["reason"]
        proxy.calm()
        moved.converges("up")


@pytest.mark.row(18)
def test_a_file_that_vanishes_after_it_was_listed_is_no_error(
    lane: dict[str, str], tmp_path: Path, weed: S3Server, fresh_names: FreshNames
) -> None:
    """Two large files are held on their way until a small one that is listed last has been sent: by then the third is listed, not open."""
    data = tmp_path / "data"
    for digit in "012":
        path = corpus.add_raw_file(data, "alpha", b"", f"0000000{digit}-1111-4222-8333-444455556666")
        os.truncate(path, LARGE)
    corpus.add_raw_file(data, "alpha", b"the last", "0000000f-1111-4222-8333-444455556666")
    gone = path_of(data, ("alpha", "00000002-1111-4222-8333-444455556666"))
    all_listed = threading.Event()

    def hold(exchange: Exchange) -> None:
        assert all_listed.wait(60)
        exchange.reply(exchange.forward())

    def let_go(exchange: Exchange) -> None:
        gone.unlink()
        all_listed.set()
        exchange.reply(exchange.forward())

    rules = (Rule(hold, "PUT", PART, name="hold"), Rule(let_go, "PUT", RAW_FILE, name="let go"))
    with proxy_before(weed, *rules) as proxy:
        moved = bench(proxy, fresh_names, data, lane)
        with changing_source(moved):
            done = moved.up().expect(0)
        assert proxy.seen.faults["let go"] == 1
        document = moved.after("up", done)
        assert ends.files(document) == {"discovered": 4, "copied": 3, "vanished": 1}
        moved.assert_all_in_bucket()


# --- what is no raw file ---------------------------------------------------------------------------------------------


@pytest.mark.row(22)
def test_links_in_every_place_are_reported_and_never_followed(
    # Bytes follows them: what lies behind a linked folder is out of its reach after the move, so that is no success.
    each_lane: dict[str, str],
    few: Path,
    tmp_path: Path,
    weed: S3Server,
    fresh_names: FreshNames,
) -> None:
    moved = plain_bench(weed, fresh_names, few, each_lane)
    outside = corpus.add_raw_file(tmp_path / "outside", "secret", b"not moved", "00000000-1111-4222-8333-444455556666")
    raw_id = outside.name
    folder = next((few / "alpha").glob("[0-9a-f]" * 3))
    (few / "linked").symlink_to(tmp_path / "outside" / "secret")
    (few / "alpha" / raw_id[:3]).symlink_to(outside.parent)
    (folder / f"{folder.name}{raw_id[3:]}").symlink_to(outside)
    (few / "b1" / "loop").symlink_to(few / "b1")
    (few / "b1" / "fff").symlink_to(tmp_path / "nothing")
    document = moved.after("up", moved.up().expect(1))
    assert ends.files(document) == {"discovered": 10, "copied": 10, "stray": 3}
    hidden = [problem["where"] for problem in ends.problems(document, "unreadable-folder")]
    assert sorted(hidden) == [f"{few}/alpha/{raw_id[:3]}", f"{few}/linked"]
    followed = [
        problem["where"] for problem in ends.problems(document, "stray") if "Bytes follows" in problem["reason"]
    ]
    assert followed == [str(folder / f"{folder.name}{raw_id[3:]}")]


@pytest.mark.row(24)
@needs_root
def test_pipes_sockets_and_devices_are_told_and_block_nobody(
    few: Path, weed: S3Server, fresh_names: FreshNames
) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    folder = next((few / "alpha").glob("[0-9a-f]" * 3))
    names = [f"{folder.name}00000-1111-4222-8333-44445555666{number}" for number in range(4)]
    os.mkfifo(folder / names[0])
    os.mknod(folder / names[1], stat.S_IFSOCK | 0o640)
    os.mknod(folder / names[2], stat.S_IFCHR | 0o640, os.makedev(1, 5))
    os.mknod(folder / names[3], stat.S_IFBLK | 0o640, os.makedev(7, 0))
    document = moved.after("up", moved.up().expect(0))
    assert ends.files(document) == {"discovered": 10, "copied": 10, "stray": 4}


@pytest.mark.row(24, 77)
def test_a_file_that_s3_cannot_hold_is_told_before_anything_of_it_is_sent(
    each_lane: dict[str, str], few: Path, weed: S3Server, fresh_names: FreshNames
) -> None:
    """Six TiB without content."""
    path = corpus.add_raw_file(few, "zaandam", b"")
    try:
        os.truncate(path, 6 << 40)
    except OSError:
        pytest.skip("this file system has no files of 6 TiB")
    with proxy_before(weed) as proxy:
        done = command.run(*MIGRATE, "--from", few, "--to", ends.template(ends.single(fresh_names)),
                           env={**proxy.server.env(), **each_lane}).expect(1)  # fmt: skip
        document = done.json()
        assert ends.files(document) == {"discovered": 11, "copied": 10, "failed": 1}
        assert "5 TiB" in ends.problems(document, "failed")[0]["reason"]
        assert not [line for line in proxy.seen.log if "uploads" in line[1]], "an upload was begun"


@pytest.mark.row(25)
@pytest.mark.parametrize("direction", ["up", "across"])
def test_two_names_of_one_file_are_two_raw_files(
    direction: str, few: Path, weed: S3Server, fresh_names: FreshNames
) -> None:
    first = corpus.add_raw_file(few, "alpha", b"one content", "00000000-1111-4222-8333-444455556666")
    os.link(first, first.with_name("00000001-1111-4222-8333-444455556666"))
    moved = plain_bench(weed, fresh_names, few, {})
    document = moved.after(direction, moved.run(direction).expect(0))
    assert ends.files(document) == {"discovered": 12, "copied": 12}
    moved.converges(direction)
    if direction == "across":
        copies = [path_of(moved.fresh, ("alpha", f"0000000{digit}-1111-4222-8333-444455556666")) for digit in "01"]
        assert [path.stat().st_nlink for path in copies] == [1, 1]


# --- a target tree that is played with -------------------------------------------------------------------------------

ROUNDS = 400


@pytest.mark.row(23)
@pytest.mark.parametrize("level", ["organization", "index folder"])
def test_a_folder_that_becomes_a_link_again_and_again_leads_nowhere(level: str, tmp_path: Path) -> None:
    """Somebody swaps a folder of the target for a link out of the tree while raw files are stored and published there."""
    swapped = stored_while_links_come_and_go(tmp_path, level, ROUNDS)
    assert swapped.escaped == []
    assert swapped.stored + swapped.refused == ROUNDS
    assert swapped.links > 0


# --- odd values and odd file systems ---------------------------------------------------------------------------------


@pytest.mark.row(32)
@pytest.mark.parametrize("direction", ["up", "across"])
def test_nothing_is_decided_by_times_alone(direction: str, few: Path, weed: S3Server, fresh_names: FreshNames) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    for number, name in enumerate(sorted(moved.expected)):
        when = [-(10**9), 0, 3_350_000_000, 1_000_000_000][number % 4]
        os.utime(path_of(few, name), (when, when))
    moved.after(direction, moved.run(direction).expect(0))
    changed = path_of(few, min(moved.expected))
    if direction == "up":  # other content of equal size and times: told, for it may be either that is right
        moved.converges("up")
        there = ends.key_of(moved.naming, *min(moved.expected))
        moved.client.put_object(Bucket=moved.naming.bucket, Key=there, Body=b"x" * changed.stat().st_size)
        done = moved.up("--state-dir", str(few.parent / "another-state"))
        assert done.status == (1 if changed.stat().st_size else 0), done
    else:
        moved.converges("across")


@pytest.mark.row(33)
def test_a_file_system_that_cannot_be_synced_as_a_whole_is_synced_and_told_of(
    few: Path, weed: S3Server, fresh_names: FreshNames, injected: Injected
) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    done = moved.run("across", injected=injected("syncfs:error=EINVAL")).expect(0)
    document = moved.after("across", done)
    assert ends.files(document) == {"discovered": 10, "copied": 10}
    assert "durability-unconfirmed" in ends.findings(document), done


@pytest.mark.row(33)
def test_without_renameat2_names_are_given_by_hard_links(
    few: Path, weed: S3Server, fresh_names: FreshNames, injected: Injected
) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    done = moved.run("across", injected=injected("renameat2:error=EINVAL")).expect(0)
    moved.after("across", done)
    moved.assert_all_on_disk()


@pytest.mark.row(33)
def test_a_file_system_where_nothing_can_be_named_safely_is_refused(
    few: Path, weed: S3Server, fresh_names: FreshNames, injected: Injected
) -> None:
    moved = plain_bench(weed, fresh_names, few, {})
    done = moved.run("across", injected=injected("renameat2:error=EINVAL", "linkat:error=EPERM")).expect(3)
    assert error_of(done)["name"] == "target-cannot-publish"
    assert ends.everything_below(moved.fresh) == set()
    moved.converges("across")
