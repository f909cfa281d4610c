"""Rows 74 to 78 of the fault matrix: shapes of stores that are hard on a program, hostile keys, and what other tools left."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.e2e.ends import LARGE
from tests.faults.bench import all_copied, bench, is_root, path_of, plain_bench
from tests.faults.proxy import proxy_before
from tests.servers import S3Server, program

MIB = corpus.MIB
WHOLE = 16 * MIB


@pytest.mark.row(75)
def test_all_index_folders_and_nothing_in_them(weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    home = tmp_path / "data" / "alpha"
    home.mkdir(parents=True)
    for number in range(4096):
        (home / f"{number:03x}").mkdir()
    moved = plain_bench(weed, fresh_names, tmp_path / "data", {})
    error = moved.up().expect(3).json()["error"]
    assert error["name"] == "source-empty"
    document = moved.up("--allow-empty").expect(0).json()
    assert ends.files(document) == {}


@pytest.mark.row(75)
def test_one_folder_with_more_empty_files_than_a_page_of_a_listing_holds(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for number in range(1_200):
        corpus.add_raw_file(data, "alpha", b"", f"abc{number:05x}-1111-4222-8333-444455556666")
    moved = plain_bench(weed, fresh_names, data, each_lane)
    all_copied(moved.up(), 1_200)
    moved.assert_all_in_bucket()
    all_copied(moved.down(), 1_200)
    moved.assert_all_on_disk()


SIZES = [0, 1, WHOLE - 1, WHOLE, WHOLE + 1, 2 * WHOLE, 2 * WHOLE + 1]


@pytest.mark.row(77)
def test_sizes_around_every_limit(
    lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    """One byte less and more than what goes in one request, whole numbers of parts and one byte more."""
    corpus.make_store(tmp_path / "data", {"alpha": 0}, large=SIZES)
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, tmp_path / "data", lane)
        all_copied(moved.up(), len(SIZES))
        begun = {
            target.split("?")[0] for method, target, _ in proxy.seen.log if method == "POST" and "uploads" in target
        }
        assert len(begun) == sum(size > WHOLE for size in SIZES)
        moved.assert_all_in_bucket()
        all_copied(moved.down(), len(SIZES))
        moved.assert_all_on_disk()


# --- hostile keys ----------------------------------------------------------------------------------------------------

RAW_ID = "0123abcd-1111-4222-8333-444455556666"
KEYS = {
    f"../../outside/{RAW_ID}": "leads out",
    f"alpha/../{RAW_ID}": "leads up",
    f"alpha/../../{RAW_ID}": "leads out",
    f"/alpha/{RAW_ID}": "begins with a slash",
    f"alpha//{RAW_ID}": "two slashes",
    f"alpha/./{RAW_ID}": "a dot",
    f"alpha/{RAW_ID}/": "ends with a slash",
    f"alpha/{RAW_ID.upper()}": "an upper-case twin",
    f"ALPHA/{RAW_ID}": "an upper-case organization",
    f"alpha/{RAW_ID}\x1b[31m": "a terminal escape",
    f"alpha/\x1b]0;title\x07{RAW_ID}": "a terminal's title",
    f"alpha/{RAW_ID}\r": "a carriage return",
    f"alpha/{RAW_ID[:-1]}\u202e6": "right to left",
    f"alpha/{RAW_ID} ": "a space at the end",
    f"alpha/{RAW_ID}%2e%2e": "percent signs",
    f"alpha\\{RAW_ID}": "a backslash",
    f"alpha/{'x' * 1000}": "nearly 1,024 bytes",
    f"al pha/{RAW_ID}": "an organization with a space",
    "alpha/=cmd|'/c calc'!A1": "a formula",
}


@pytest.mark.row(76)
@pytest.mark.parametrize("command_word", ["migrate", "plan"])
def test_hostile_keys_stay_where_they_are_and_are_shown_harmlessly(
    command_word: str, each_lane: dict[str, str], moto: S3Server, fresh_names: FreshNames, few: Path
) -> None:
    moved = plain_bench(moto, fresh_names, few, each_lane)
    moved.fill()
    put = 0
    for key, content in KEYS.items():
        try:
            moved.client.put_object(Bucket=fresh_names.bucket, Key=key, Body=content.encode())
            put += 1
        except Exception:
            continue
    assert put > 12
    words = (
        command_word,
        *(["--yes"] if command_word == "migrate" else []),
        "--from",
        moved.bucket,
        "--to",
        moved.fresh,
    )
    done = command.run(*words, env=moved.whole_env).expect(0)
    for text in (done.stdout, done.stderr):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text), "something could steer a terminal"
    assert not (few.parent / "outside").exists()
    if command_word == "migrate":
        moved.assert_all_on_disk()
    outside = {path.name for path in few.parent.iterdir()}
    assert outside <= {"data", "fresh", "no-pycurl"}
    document = command.run(*words, "--json", env=moved.whole_env).expect(0).json()
    oracle.assert_adds_up(document)
    assert document["totals"]["stray"]["files"] >= 12


# --- what other tools left -------------------------------------------------------------------------------------------


@pytest.mark.row(78)
def test_what_another_tool_began_is_adopted_where_it_is_right_and_told_where_it_is_not(
    lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, few: Path
) -> None:
    """rclone copies half of it, with its own part size and a stale object of equal size among it."""
    corpus.make_store(few, {"zaandam": 0}, large=[LARGE])
    moved = plain_bench(weed, fresh_names, few, lane)
    ends.make_bucket(moved.client, fresh_names.bucket)
    names = sorted(moved.expected)
    chosen = [name for name in names if name[0] != "b1"]
    stale = next(name for name in chosen if 0 < moved.expected[name].size < MIB)
    for name in chosen:
        copying = ["copyto", str(path_of(few, name)), f":s3:{fresh_names.bucket}/{moved.key(name)}"]
        done = subprocess.run(
            [program("rclone"), *copying, *_rclone_options(weed)],
            capture_output=True,
            check=False,
            env={**os.environ, "RCLONE_CONFIG": "/dev/null"},
        )
        assert done.returncode == 0, done.stderr.decode()
    moved.client.put_object(Bucket=fresh_names.bucket, Key=moved.key(stale), Body=b"s" * moved.expected[stale].size)
    document = moved.up().expect(1).json()
    oracle.assert_adds_up(document)
    assert ends.files(document) == {
        "discovered": 11,
        "present": len(chosen) - 1,
        "conflict": 1,
        "copied": 11 - len(chosen),
    }
    assert ends.problems(document, "conflict")[0]["id"] == stale[1]


def _rclone_options(server: S3Server) -> list[str]:
    options = {
        "provider": "SeaweedFS",
        "endpoint": server.endpoint_url,
        "access-key-id": server.access_key,
        "secret-access-key": server.secret_key,
        "upload-cutoff": "6Mi",
        "chunk-size": "5Mi",
    }
    return [*(word for name, value in options.items() for word in (f"--s3-{name}", value)), "--s3-no-check-bucket"]


@pytest.mark.row(78)
def test_what_another_tool_left_on_disk_is_told_and_left(
    each_lane: dict[str, str], weed: S3Server, fresh_names: FreshNames, few: Path
) -> None:
    moved = plain_bench(weed, fresh_names, few, each_lane)
    moved.fill()
    names = sorted(moved.expected)
    good, stale, part = names[0], next(name for name in names[1:] if moved.expected[name].size), names[-1]
    for name in (good, stale):
        content = path_of(few, name).read_bytes()
        corpus.add_raw_file(moved.fresh, name[0], content if name == good else b"s" * len(content), name[1])
    half = path_of(moved.fresh, part)
    half.parent.mkdir(parents=True, exist_ok=True)
    half.with_name(f"{part[1]}.a1b2c3d4.partial").write_bytes(b"half")
    document = moved.down().expect(1).json()
    oracle.assert_adds_up(document)
    assert ends.files(document) == {"discovered": 10, "present": 1, "conflict": 1, "copied": 8, "stray": 1}
    assert half.with_name(f"{part[1]}.a1b2c3d4.partial").read_bytes() == b"half"


@pytest.mark.row(8, 74)
@pytest.mark.skipif(not is_root(), reason="it takes root to bind a process to less memory than it has")
def test_a_worker_that_is_killed_for_its_memory_is_told_and_the_next_run_goes_on(
    weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    """As the kernel does it: SIGKILL to one process of the group, here to the first that is not the coordinator."""
    with proxy_before(weed) as proxy:
        moved = bench(proxy, fresh_names, data, {})
        with moved.start("up") as process:
            assert process.wait_for(lambda: proxy.seen.requests["PUT"] > 30), process.output_so_far()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(children[0]), 9)
            done = process.finish().expect(3)
        assert done.json()["error"]["name"] == "worker-died"
        assert "memory" in done.json()["error"]["why"]
        moved.converges("up")
