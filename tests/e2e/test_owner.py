"""At a target on disk Bytes' user must be let in: every look is as user id 1000, never as root."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator.cli.main import main
from tests import as_bytes, corpus, oracle
from tests.as_bytes import UID
from tests.command import Completed
from tests.dialects.memory import Memory
from tests.dialects.s3 import S3Server
from tests.dialects.scene import environment_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
OWNER = ("--owner", f"{UID}:{UID}")
LOCAL = ("--engine", "local")


@pytest.fixture(autouse=True)
def nobody_said_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BYTES_MIGRATOR_OWNER")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    corpus.make_store(tmp_path / "source", {"alpha": 6, "beta": 3}, sizes=100)
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def run(command: str, source: Path | str, target: Path | str, *words: str) -> Completed:
    """The command in this process; its document, status and messages."""
    out, err = io.StringIO(), io.StringIO()
    yes = ("--yes",) if command in ("migrate", "watch") else ()
    arguments = [command, "--from", str(source), "--to", str(target), *yes, *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return Completed(tuple(arguments), ended.value.code, out.getvalue(), err.getvalue(), 0.0)


def give(root: Path, user: int, group: int | None = None) -> None:
    for folder, folders, files in os.walk(root):
        for path in (folder, *(os.path.join(folder, name) for name in (*folders, *files))):
            os.chown(path, user, user if group is None else group, follow_symlinks=False)


def owners(root: Path) -> set[tuple[int, int]]:
    paths = [root, *root.rglob("*")]
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in paths}


def finding(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in document["findings"] if one["name"] == name)


def beside(document: dict[str, Any]) -> tuple[int, int]:
    return document["totals"]["closed"]["files"], document["totals"]["owner_corrected"]["files"]


def copied_as_root(source: Path, target: Path) -> None:
    """What an earlier version, or `cp` as root, left."""
    shutil.copytree(source, target)
    give(target, 0)


# --- before ----------------------------------------------------------------------------------------------------------


def test_as_root_into_a_folder_of_root_nothing_is_copied_until_somebody_names_bytes_user(
    source: Path, target: Path
) -> None:
    refused = run("migrate", source, target, "--json", *LOCAL).expect(3)
    error = refused.json()["error"]
    assert error["name"] == "service-user"
    assert "--owner" in error["cure"]
    assert not target.exists()
    assert finding(run("plan", source, target, "--json").expect(1).json(), "service-user")["status"] == "error"
    assert finding(run("doctor", source, target, "--json").expect(1).json(), "service-user")["status"] == "error"
    run("migrate", source, target, *OWNER, *LOCAL).expect(0)
    as_bytes.assert_reads(as_bytes.OnDisk(target), oracle.disk_state(source))
    assert owners(target) == {(UID, UID)}


def test_forced_it_copies_and_says_afterwards_what_bytes_cannot_read(source: Path, target: Path) -> None:
    run("migrate", source, target, "--force", "service-user", *LOCAL).expect(0)
    assert not as_bytes.read(as_bytes.OnDisk(target), oracle.disk_paths(source)).readable
    document = run("verify", source, target, "--json").expect(1).json()
    assert beside_of_proofs(document) == 9 + 1 + 2 + len(list(target.glob("*/*")))
    assert document["totals"]["proven"]["files"] == 9


def beside_of_proofs(document: dict[str, Any]) -> int:
    return int(document["totals"]["closed"]["files"])


@pytest.mark.parametrize(("owner", "words"), [(UID, ()), (4321, OWNER)], ids=["of the folder", "that is named"])
def test_workers_give_raw_files_to_the_owner(owner: int, words: tuple[str, ...], source: Path, target: Path) -> None:
    target.mkdir(mode=0o750)
    os.chown(target, owner, owner)
    run("migrate", source, target, *words, "--engine", "processes").expect(0)
    as_bytes.assert_reads(as_bytes.OnDisk(target), oracle.disk_state(source))


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("nobody-has-this-name", "owner-unknown"),
        ("1000:no-such-group", "owner-unknown"),
        ("", "owner-invalid"),
        (":1000", "owner-invalid"),
        ("1000:", "owner-invalid"),
        ("99999999999999999999", "owner-invalid"),
        ("-1", "owner-unknown"),
    ],
)
def test_an_owner_that_nobody_is(word: str, name: str, source: Path, target: Path) -> None:
    done = run("migrate", source, target, f"--owner={word}", "--json").expect(2)
    assert done.json()["error"]["name"] == name


def test_modes_that_keep_even_their_owner_out_are_refused(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYTES_FILE_PERMISSION", "040")
    done = run("migrate", source, target, *OWNER, "--json").expect(3)
    assert "BYTES_FILE_PERMISSION" in done.json()["error"]["cure"]


def test_a_folder_above_that_bytes_cannot_pass_is_told(source: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    document = run("migrate", source, hidden / "data", *OWNER, "--json", *LOCAL).expect(0).json()
    told = finding(document, "folders-above")
    assert told["status"] == "warning"
    assert "cannot pass" in told["seen"]


# --- what is there already -------------------------------------------------------------------------------------------

Spoil = Callable[[Path], None]


def one_raw_file(target: Path) -> Path:
    return Path(min(oracle.disk_paths(target).values()))


def of_root(target: Path) -> None:
    give(target, 0)


def with_no_mode(target: Path) -> None:
    for path in oracle.disk_paths(target).values():
        os.chmod(path, 0)


def index_folder_of_root(target: Path) -> None:
    os.chown(one_raw_file(target).parent, 0, 0)


def organization_of_root(target: Path) -> None:
    os.chown(target / "alpha", 0, 0)


def folder_that_cannot_be_saved_to(target: Path) -> None:
    os.chmod(target / "alpha", 0o540)


SPOILT: dict[str, Spoil] = {
    spoil.__name__: spoil
    for spoil in (of_root, with_no_mode, index_folder_of_root, organization_of_root, folder_that_cannot_be_saved_to)
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_rerun_that_copies_nothing_sets_right_what_keeps_bytes_out(spoil: Spoil, source: Path, target: Path) -> None:
    run("migrate", source, target, *OWNER, "--settle", "0", *LOCAL).expect(0)
    spoil(target)
    before = oracle.tree_snapshot(target)
    planned = run("plan", source, target, *OWNER, "--json").expect(0).json()
    seen = run("verify", source, target, *OWNER, "--json").expect(1).json()
    assert finding(run("doctor", source, target, *OWNER, "--json").expect(1).json(), "closed-to-bytes")["cure"]
    assert oracle.tree_snapshot(target) == before, "looking writes nothing"
    assert beside_of_proofs(seen) >= beside(planned)[1] > 0
    done = run("migrate", source, target, *OWNER, "--json", *LOCAL).expect(0).json()
    assert beside(done) == (0, beside(planned)[1])
    assert done["totals"]["copied"]["files"] == 0
    as_bytes.assert_reads(as_bytes.OnDisk(target), oracle.disk_state(source))
    assert beside(run("migrate", source, target, *OWNER, "--json", *LOCAL).expect(0).json()) == (0, 0)
    run("verify", source, target, *OWNER).expect(0)


def test_text_page_and_metrics_have_the_count(source: Path, target: Path, tmp_path: Path) -> None:
    copied_as_root(source, target)
    folder, metrics = tmp_path / "report", tmp_path / "run.prom"
    words = ("--report", str(folder), "--metrics-file", str(metrics))
    done = run("migrate", source, target, *OWNER, *words, *LOCAL).expect(0)
    count = 9 + 1 + 2 + len(list(target.glob("*/*")))
    assert (
        f"{count} raw files and folders at the target kept Bytes' user out: owner or mode was set right" in done.stdout
    )
    assert "owner corrected" in done.stdout
    assert f"{count} owner corrected" in (folder / "report.html").read_text()
    assert f"bytes_migrator_owner_corrected {count}.0" in metrics.read_text()
    again = run_status("report", "--format", "json")
    assert beside(again) == (0, count)


def run_status(*words: str) -> Any:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        main(list(words))
    return json.loads(out.getvalue())


def test_watch_sets_right_before_its_first_pass(source: Path, target: Path) -> None:
    copied_as_root(source, target)
    done = run("watch", source, target, *OWNER, "--until-idle", "0.1s", "--settle", "0", "--json").expect(0)
    assert beside(done.json())[0] == 0
    assert beside(done.json())[1] > 9
    as_bytes.assert_reads(as_bytes.OnDisk(target), oracle.disk_state(source))


def test_only_the_named_organizations_are_touched(source: Path, target: Path) -> None:
    copied_as_root(source, target)
    run("migrate", source, target, *OWNER, "--organization", "beta", *LOCAL).expect(0)
    assert owners(target / "alpha") == {(0, 0)}
    assert owners(target / "beta") == {(UID, UID)}


def test_the_group_lets_bytes_in_too_and_then_nothing_is_touched(source: Path, target: Path) -> None:
    copied_as_root(source, target)
    give(target, 0, 4321)
    for path in (target, *target.rglob("*")):
        path.chmod(0o770 if path.is_dir() else 0o640)
    words = ("--owner", f"{UID}:4321", "--json")
    assert beside(run("migrate", source, target, *words, *LOCAL).expect(0).json()) == (0, 0)
    member = as_bytes.User(user=UID, group=UID, groups=(4321,))
    as_bytes.assert_reads(as_bytes.OnDisk(target, user=member), oracle.disk_state(source))
    assert owners(target) == {(0, 4321)}


@pytest.mark.parametrize("kind", ["link", "hard link", "stray", "link in a folder's place"])
def test_nothing_else_is_given_away(kind: str, source: Path, target: Path, tmp_path: Path) -> None:
    """A raw file's name that leads elsewhere must not give a file of root's to Bytes' user."""
    copied_as_root(source, target)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "shadow").write_bytes(b"secret")
    (precious / "shadow").chmod(0o600)
    place = one_raw_file(target)
    name = place.with_name(place.name[:-1] + ("0" if place.name[-1] != "0" else "1"))
    if kind == "link":
        name.symlink_to(precious / "shadow")
    elif kind == "hard link":
        os.link(precious / "shadow", name)
    elif kind == "stray":
        (place.parent / "README").write_bytes(b"stray")
    else:
        free = next(f"{number:03x}" for number in range(4096) if not (target / "alpha" / f"{number:03x}").exists())
        (target / "alpha" / free).symlink_to(precious)
    done = run("migrate", source, target, *OWNER, "--json", *LOCAL)
    assert (precious / "shadow").stat().st_uid == 0
    assert precious.stat().st_uid == 0
    assert stat.S_IMODE((precious / "shadow").stat().st_mode) == 0o600
    if kind == "stray":
        assert (place.parent / "README").stat().st_uid == 0
    expected = {
        "hard link": (1, 1),
        "link in a folder's place": (1, 0),
    }  # the latter hides from us what Bytes would read
    assert (done.status, beside(done.json())[0]) == expected.get(kind, (0, 0))
    as_bytes.assert_reads(as_bytes.OnDisk(target), oracle.disk_state(source))


def test_prune_deletes_nothing_while_bytes_is_kept_out_of_the_target(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("migrate", source, target, *OWNER, *LOCAL).expect(0)
    monkeypatch.setenv("BYTES_DATA_DIR", str(target))
    os.chown(one_raw_file(target), 0, 0)
    refused = run("prune", source, target, *OWNER, "--confirm", "9", "--json").expect(3)
    assert refused.json()["error"]["name"] == "closed-to-bytes"
    assert len(oracle.disk_paths(source)) == 9


# --- a folder of which nothing says that Bytes will read there ---------------------------------------------------------


@pytest.fixture
def on_s3(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same raw files in a bucket; gives its template."""
    memory = Memory()
    for (organization, raw_id), path in oracle.disk_paths(source).items():
        memory.put("raws", f"{organization}/{raw_id}", Path(path).read_bytes())
    with S3Server(memory).running() as server:
        for name, value in environment_of(server).items():
            monkeypatch.setenv(name, value or "")
        yield "s3://raws/{organization}"


def test_as_root_a_copy_that_nothing_calls_bytes_own_is_made_and_its_last_lines_say_who_owns_it(
    on_s3: str, target: Path
) -> None:
    done = run("migrate", on_s3, target, *LOCAL).expect(0)
    last = done.stdout.rstrip().splitlines()[-3:]
    assert "Bytes cannot read or save at the target until this is fixed, [service-user]" in last[0]
    assert "--owner" in last[1]
    assert "Give Bytes these settings" not in done.stdout
    assert run("verify", on_s3, target, "--json").expect(0).json()["totals"]["closed"]["files"] == 0
    run("migrate", on_s3, target, *OWNER, *LOCAL).expect(0)
    assert owners(target) == {(UID, UID)}


@pytest.mark.parametrize("word", ["s3", "disk", "template"])
def test_as_root_a_folder_is_taken_for_bytes_own_as_soon_as_a_setting_of_bytes_is_given(
    word: str, on_s3: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"BYTES_DATA_DIR": str(target)} if word == "disk" else {"S3_BUCKET": "raws", "BUCKET_PER_ORG": "false"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    ends = {"s3": ("s3", str(target)), "disk": (on_s3, "disk"), "template": (on_s3, str(target))}[word]
    refused = run("migrate", ends[0], ends[1], "--json", *LOCAL).expect(3)
    assert refused.json()["error"]["name"] == "service-user"
    assert not target.exists()
