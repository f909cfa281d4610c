"""Data folders are held at the folder: seen by every run, whatever path, state folder or machine it comes from; and where Bytes reads."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from migrator.app.bytes_place import BytesPlace, bytes_place
from migrator.app.first_check_result import Prepared
from migrator.app.options import Options
from migrator.app.place_locks import Ground, break_lock, held_to_copy, held_to_prune, mark_findings, refuse_held
from migrator.app.prune_request import PruneWish
from migrator.app.prune_source_in_use import Unsure, have_same_names, is_read, reading_findings
from migrator.app.pruning import prune
from migrator.app.stopping import Stopping
from migrator.config.environment import Environment
from migrator.config.locations import DiskLocation, Location, Locations, Overrides, S3Access, S3Location
from migrator.core.errors import CannotStart, LedgerBusy, MustStop, SettingsError
from migrator.core.naming import BucketPerOrganization, SingleBucket
from migrator.ledger.directory import StateFolder
from migrator.stores.disk.lock import FolderMark, Hold, folders_held, mark_in
from migrator.stores.disk.source import DiskSource
from migrator.stores.disk.target import DiskTarget
from migrator.stores.lock_mark import LockMark
from migrator.stores.reserved_names import LOCK_FILE
from migrator.sync.source_overview import SourceOverview
from tests import corpus, oracle
from tests.fakes import quick_patience

NFS = "36 35 0:40 / {} rw - nfs4 server:/export rw\n"
NO_OVERRIDES = Overrides()


def disk(root: Path) -> DiskLocation:
    return DiskLocation(root=root, folder_mode=0o740, file_mode=0o640)


def both(source: Location, target: Location) -> Locations:
    return Locations(source=source, target=target, settings=(), findings=())


def ground(one: Path, other: Path) -> Ground:
    prepared = Prepared(
        locations=both(disk(one), disk(other)),
        overview=SourceOverview(organizations=("org",), problems=(), stray_bytes=0),
        findings=(),
        refused=frozenset(),
        buckets_to_create=(),
        buckets_there=(),
    )
    return Ground(prepared=prepared, source=DiskSource(one), target=DiskSource(other), patience=quick_patience())


@pytest.fixture
def ends(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("one", "other"):
        corpus.make_store(tmp_path / name, {"org": 30, "second": 10}, seed=5)
    return tmp_path / "one", tmp_path / "other"


@contextmanager
def mounted(source: Path, at: Path) -> Iterator[None]:
    """The folder under a second name, as an operator's bind mount has it."""
    done = subprocess.run(["mount", "--bind", source, at], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("it takes root to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


# --- the lock of a folder -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "is_free"),
    [(True, True, False), (True, False, False), (False, True, False), (False, False, True)],
)
@pytest.mark.parametrize("way", ["same", "link", "mount"])
def test_a_folder_is_held_whatever_its_name(tmp_path: Path, way: str, first: bool, second: bool, is_free: bool) -> None:
    root, other = tmp_path / "data", tmp_path / "other name"
    root.mkdir()
    with ExitStack() as stack:
        if way == "link":
            other.symlink_to(root)
        elif way == "mount":
            other.mkdir()
            stack.enter_context(mounted(root, other))
        else:
            other = root
        stack.enter_context(folders_held([Hold(root=root, alone=first)]))
        if is_free:
            stack.enter_context(folders_held([Hold(root=other, alone=second)]))
        else:
            with pytest.raises(LedgerBusy, match=str(other)) as caught:
                stack.enter_context(folders_held([Hold(root=other, alone=second)]))
            assert caught.value.name == "place-busy"
    with folders_held([Hold(root=root, alone=True)]):
        pass


def test_one_folder_under_two_names_is_no_pair_of_ends(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    holds = [Hold(root=tmp_path / name, alone=True) for name in ("data", "link")]
    with pytest.raises(CannotStart) as caught, folders_held(holds):
        pass
    assert caught.value.name == "same-place"


@pytest.mark.parametrize("must", [True, False])
def test_a_folder_that_cannot_be_locked_is_refused_where_something_is_deleted(
    tmp_path: Path, must: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(fd: int, flags: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", cannot)
    with ExitStack() as stack:
        if must:
            with pytest.raises(CannotStart, match="No locks available"):
                stack.enter_context(folders_held([Hold(root=tmp_path, alone=True, must=True)]))
        else:
            stack.enter_context(folders_held([Hold(root=tmp_path, alone=True)]))


# --- what holds what ------------------------------------------------------------------------------------------------


@contextmanager
def pruning(one: Path, other: Path, run: str = "run-1") -> Iterator[Any]:
    with held_to_prune(ground(one, other), run, "bytes-migrator prune", Stopping()) as check:
        yield check


def test_two_prunes_in_opposite_directions_never_go_on_together(ends: tuple[Path, Path]) -> None:
    one, other = ends
    with pruning(one, other), pytest.raises(LedgerBusy), pruning(other, one, "run-2"):
        pass


@pytest.mark.parametrize("shared", ["source", "target", "turned"])
def test_prune_and_a_copy_keep_each_other_out(ends: tuple[Path, Path], tmp_path: Path, shared: str) -> None:
    one, other = ends
    third = tmp_path / "third"
    third.mkdir()
    copies = {
        "source": both(disk(one), disk(third)),  # relies on what would be deleted
        "target": both(disk(third), disk(other)),  # writes to what is the proof
        "turned": both(disk(other), disk(one)),
    }[shared]
    with pruning(one, other), pytest.raises(LedgerBusy), held_to_copy(copies):
        pass
    with held_to_copy(copies), pytest.raises(LedgerBusy), pruning(one, other):
        pass


def test_two_copies_may_read_one_folder(ends: tuple[Path, Path], tmp_path: Path) -> None:
    with (
        held_to_copy(both(disk(ends[0]), disk(tmp_path / "a"))),
        held_to_copy(both(disk(ends[0]), disk(tmp_path / "b"))),
    ):
        pass


# --- marks on network file systems ----------------------------------------------------------------------------------


def test_on_a_network_file_system_a_file_holds_the_folder(tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(NFS.format(tmp_path))
    mine, its = (FolderMark(tmp_path, LockMark(run=run), mountinfo) for run in ("mine", "its"))
    assert mine.is_needed
    assert mine.take() is None
    assert mine.take() is None
    assert its.take() == LockMark(run="mine")
    its.release()
    assert mine.is_held()
    mine.release()
    assert not list(tmp_path.glob(".*"))
    assert not FolderMark(tmp_path, LockMark(run="x"), tmp_path / "none").is_needed


def test_a_mark_that_a_kill_left_in_a_folder_is_told_and_removed_by_the_command_that_is_told(
    ends: tuple[Path, Path],
) -> None:
    one, other = ends
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = LockMark(run="run-0", host=socket.gethostname(), pid=dead.pid, began_at=1.0)
    FolderMark(other, left).take()
    with pytest.raises(LedgerBusy, match="run-0") as caught, pruning(one, other):
        pass
    assert "days ago" in caught.value.what
    assert "it was killed" in caught.value.why
    assert "--break-lock run-0" in caught.value.cure
    with pytest.raises(LedgerBusy):
        refuse_held(ground(one, other))
    [finding] = mark_findings(ground(one, other), "bytes-migrator prune")
    assert finding.name == "place-busy"
    with pytest.raises(CannotStart, match="run-7"):
        break_lock(ground(one, other), "run-7")
    break_lock(ground(one, other), "run-0")
    with pruning(one, other):
        pass


def test_a_mark_in_a_folder_is_no_stray_and_stays(ends: tuple[Path, Path]) -> None:
    one, _ = ends
    FolderMark(one, LockMark(run="mine")).take()
    told: list[Any] = []
    for store in (DiskSource(one), DiskTarget(one, folder_mode=0o740, file_mode=0o640, run="x")):
        assert list(store.organizations(told.append)) == ["org", "second"]
    assert told == []
    assert mark_in(one) == LockMark(run="mine")


def test_a_run_whose_mark_is_gone_stops(ends: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = ends
    monkeypatch.setattr("migrator.stores.disk.lock.file_system_of", lambda path, mountinfo: "nfs4")
    with pruning(one, other) as check:
        check("org")
        (other / LOCK_FILE).unlink()
        with pytest.raises(MustStop) as caught:
            check("org")
    assert caught.value.name == "mark-lost"
    assert mark_in(one) is None, "its own mark elsewhere is removed"


# --- one folder at both ends ----------------------------------------------------------------------------------------


def run_prune(one: Path, other: Path, state: Path, confirmed: int | None = None, *, reads: Path | None = None) -> Any:
    place = BytesPlace(locations=(disk(reads or other),), environment=Environment(), is_known=True, in_container=False)
    wish = PruneWish(confirmed=confirmed, max_delete=1_000, place=place)
    return prune(both(disk(one), disk(other)), Options(state=StateFolder(state)), wish, lambda *_: None, Stopping())


def folder_of_last(root: Path) -> Path:
    """Not the first of its organization: only that one was looked at once."""
    return sorted(Path(path) for path in oracle.disk_paths(root).values())[-1].parent


@pytest.mark.parametrize("level", ["index folder", "organization"])
@pytest.mark.parametrize("confirmed", [None, 40])
def test_a_mount_below_is_found_in_every_folder(
    ends: tuple[Path, Path], tmp_path: Path, level: str, confirmed: int | None
) -> None:
    one, other = ends
    here = folder_of_last(one)
    here = here if level == "index folder" else here.parent
    there = other / here.relative_to(one)
    elsewhere = tmp_path / "bytes reads elsewhere"
    elsewhere.mkdir()
    with mounted(here, there):
        with pytest.raises(MustStop) as caught:
            run_prune(one, other, tmp_path / "state", confirmed, reads=elsewhere)
        assert caught.value.name == "same-place"
        with pytest.raises(CannotStart) as refused:
            run_prune(one, other, tmp_path / "state", confirmed)
        assert refused.value.name == "bytes-reads-the-source"
        assert len(oracle.disk_paths(one)) == 40


def test_hard_links_under_two_names_lose_nothing(ends: tuple[Path, Path], tmp_path: Path) -> None:
    one, _ = ends
    linked = tmp_path / "linked"
    subprocess.run(["cp", "-al", one, linked], check=True)
    before = oracle.disk_state(one)
    report = run_prune(one, linked, tmp_path / "state", 40)
    assert report.exit_status == 0
    assert oracle.disk_state(linked) == before


def test_the_target_is_brought_to_its_medium_before_anything_goes(
    ends: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wiring: it is the target's disk that is synced, while everything is still at the source."""
    one, other = ends
    synced = tmp_path / "synced"

    def sync(fd: int) -> bool:
        with synced.open("a") as told:  # by a worker process
            told.write(f"{os.readlink(f'/proc/self/fd/{fd}')} {len(oracle.disk_paths(one))}\n")
        return True

    monkeypatch.setattr("migrator.stores.disk.source.sync_filesystem", sync)
    assert run_prune(one, other, tmp_path / "state", 40).exit_status == 0
    assert synced.read_text().splitlines()[0] == f"{other} 40"
    assert oracle.disk_paths(one) == {}


# --- where Bytes reads ----------------------------------------------------------------------------------------------


def s3(url: str | None, naming: Any = None) -> S3Location:
    return S3Location(naming=naming or SingleBucket("raw"), access=S3Access(endpoint_url=url))


EACH = BucketPerOrganization("raw-")
URL = "http://127.0.0.1:9"
S3_CASES: list[tuple[S3Location, S3Location, bool]] = [
    (s3(URL), s3(URL), True),
    (s3(URL), s3("http://localhost:9/"), True),
    (s3(URL), s3("http://127.1:9"), True),
    (s3(URL), s3("http://127.0.0.1:10"), False),
    (s3(None), s3("https://s3.eu-west-1.amazonaws.com"), True),
    (s3(URL), s3(URL, SingleBucket("other")), False),
    (s3(URL), s3(URL, EACH), False),
    (s3(URL, EACH), s3(URL, EACH), True),
    (s3(URL, EACH), s3("http://localhost:9", EACH), True),
    (s3(URL, BucketPerOrganization("raw")), s3(URL, EACH), False),
    (s3(URL), s3("http://no-such-host.invalid:9"), False),
]


@pytest.mark.parametrize(("source", "read", "expected"), S3_CASES)
def test_other_names_of_one_server_are_one(source: S3Location, read: S3Location, expected: bool) -> None:
    assert is_read(source, read, ["org"], in_container=False) is expected


def test_a_server_behind_another_name_may_be_the_same_and_is_asked_with_a_mark() -> None:
    assert have_same_names(s3(URL), s3("http://proxy.example:80"), ["org"])
    assert not have_same_names(s3(URL), s3("http://proxy.example:80", EACH), ["org"])


@pytest.mark.parametrize(
    "way", ["same", "link", "mount", "organization link", "index folder mount", "other", "missing"]
)
@pytest.mark.parametrize("in_container", [False, True])
def test_links_and_mounts_to_the_source_are_seen(
    ends: tuple[Path, Path], tmp_path: Path, way: str, in_container: bool
) -> None:
    one, other = ends
    read = tmp_path / "read"
    with ExitStack() as stack:
        if way == "same":
            read = one
        elif way == "link":
            read.symlink_to(one)
        elif way == "mount":
            read.mkdir()
            stack.enter_context(mounted(one, read))
        elif way == "organization link":
            read.mkdir()
            (read / "org").symlink_to(one / "org")
        elif way == "index folder mount":
            read = other
            here = folder_of_last(one)
            stack.enter_context(mounted(here, other / here.relative_to(one)))
        elif way == "other":
            read = other
        found = is_read(disk(one), disk(read), ["org", "second"], in_container=in_container)
    if way == "missing" or (way == "other" and in_container):
        assert isinstance(found, Unsure)
        assert str(read) in found.why
    else:
        assert found is (way != "other")


def test_a_container_that_has_the_source_under_the_path_of_bytes_settings_is_seen(
    ends: tuple[Path, Path], tmp_path: Path
) -> None:
    """As Compose's /data against the volume's path on the host."""
    inside = tmp_path / "data"
    inside.mkdir()
    script = f"mount --bind {ends[0]} {inside} && echo ready && cat"
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as container:
        assert container.stdout is not None
        if container.stdout.readline() != b"ready\n":
            pytest.skip("it takes root to make a container")
        assert is_read(disk(ends[0]), disk(inside), ["org"], in_container=True) is True
        assert isinstance(is_read(disk(ends[1]), disk(inside), ["org"], in_container=True), Unsure)
        container.communicate(b"")


SETTINGS: list[tuple[dict[str, str], bool, bool]] = [
    ({}, False, True),
    ({"BYTES_USERNAME": "x", "BYTES_PASSWORD": "y"}, False, True),
    ({"BYTES_MIGRATOR_FROM": "disk"}, False, True),
    ({"S3_BUCKET": "", "BYTES_DATA_DIR": ""}, False, False),
    ({"BYTES_DATA_DIR": "/var/lib/kat-bytes"}, True, False),
    ({"BYTES_DATA_DIR": "/data"}, True, True),
    ({"BYTES_DB_URI": "postgresql://bytes@db/bytes"}, True, True),
    ({"S3_BUCKET": "raw"}, True, True),
    ({"S3_BUCKET_PREFIX": "raw-"}, True, True),
]


@pytest.mark.parametrize(("given", "is_known", "in_container"), SETTINGS)
@pytest.mark.parametrize("how", ["environment", "env file"])
def test_what_says_where_bytes_reads(
    given: dict[str, str], is_known: bool, in_container: bool, how: str, tmp_path: Path
) -> None:
    file = tmp_path / "bytes.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    files, environ = ([file], {}) if how == "env file" else ([], given)
    place = bytes_place(files, NO_OVERRIDES, environ, debian_files=())
    assert place.is_known == is_known
    assert place.in_container == in_container
    assert bool(place.locations) == is_known


def test_options_are_no_settings_of_bytes() -> None:
    assert not bytes_place([], Overrides(bucket="raw", data_dir="/x"), {}, debian_files=()).is_known


def test_an_env_file_beside_a_compose_file_names_paths_in_a_container(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("BYTES_DATA_DIR=/srv/raw\n")
    assert not bytes_place([file], NO_OVERRIDES, {}, debian_files=()).in_container
    (tmp_path / "docker-compose.yml").touch()
    assert bytes_place([file], NO_OVERRIDES, {}, debian_files=()).in_container


def test_the_debian_package_says_it_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "bytes.conf"
    file.write_text("BYTES_DATA_DIR=/data\n")
    place = bytes_place([], NO_OVERRIDES, {}, debian_files=(file,))
    assert place.is_known
    assert not place.in_container
    assert place.locations == (disk(Path("/data")),)


FORCED = frozenset({"bytes-may-read-the-source"})


def test_what_is_not_known_is_refused_unless_it_is_forced(ends: tuple[Path, Path], tmp_path: Path) -> None:
    unknown = BytesPlace(locations=(), environment=Environment(), is_known=False, in_container=True)
    locations, state = both(disk(ends[0]), disk(ends[1])), StateFolder(tmp_path / "state")
    wish = PruneWish(confirmed=40, max_delete=100, place=unknown)
    with pytest.raises(SettingsError, match="--env-file") as caught:
        prune(locations, Options(state=state), wish, lambda *_: None, Stopping())
    assert caught.value.name == "bytes-settings-unknown"
    report = prune(locations, Options(state=state, forced=FORCED), wish, lambda *_: None, Stopping())
    assert report.exit_status == 0
    assert "bytes-may-read-the-source" in {finding.name for finding in report.findings}


def test_what_is_not_sure_is_refused_unless_it_is_forced_and_what_is_sure_is_refused_always(
    ends: tuple[Path, Path],
) -> None:
    locations = both(disk(ends[0]), disk(ends[1]))
    unsure = BytesPlace(
        locations=(disk(Path("/no/such")),), environment=Environment(), is_known=True, in_container=True
    )
    sure = BytesPlace(locations=(disk(ends[0]),), environment=Environment(), is_known=True, in_container=True)
    with pytest.raises(CannotStart) as caught:
        reading_findings(locations, unsure, ["org"], Options())
    assert caught.value.name == "bytes-may-read-the-source"
    [finding] = reading_findings(locations, unsure, ["org"], Options(forced=FORCED))
    assert finding.name == "bytes-may-read-the-source"
    with pytest.raises(CannotStart) as caught:
        reading_findings(locations, sure, ["org"], Options(forced=FORCED))
    assert caught.value.name == "bytes-reads-the-source"
