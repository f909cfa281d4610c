"""Who may do what by owner and mode, and whom ``--owner`` names."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from migrator.core.errors import CannotStart
from migrator.core.findings import FindingStatus
from migrator.doctor.bytes_user import NO_USER, PASS, READ, SAVE, BytesUser, user_by_id, user_named, user_of
from migrator.doctor.disk_checks import folder_above_findings
from migrator.stores.disk.data_folder_setup import try_out
from migrator.stores.disk.preflight import folders_above
from migrator.stores.disk.target import DiskTarget
from tests.backends import NOBODY, as_nobody, held

KAT = BytesUser(uid=1000, gid=1000, groups=frozenset((1000, 77)))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.mark.parametrize(
    ("user", "owner", "group", "mode", "wanted", "may"),
    [
        (KAT, 1000, 0, 0o640, READ, True),
        (KAT, 1000, 0, 0o740, SAVE, True),
        (KAT, 1000, 77, 0o077, READ, False),  # the owner's bits alone count for the owner
        (KAT, 0, 77, 0o640, READ, True),
        (KAT, 0, 77, 0o740, PASS, False),  # Bytes' folder mode lets the group list, and not pass
        (KAT, 0, 77, 0o604, READ, False),  # the group's bits alone count for the group
        (KAT, 0, 0, 0o644, READ, True),
        (KAT, 0, 0, 0o640, READ, False),
        (BytesUser(uid=0), 1000, 1000, 0, SAVE, True),
        (NO_USER, 0, 0, 0o640, READ, False),
        (NO_USER, 0, 0, 0o644, READ, True),
    ],
)
def test_the_kernel_s_rules(user: BytesUser, owner: int, group: int, mode: int, wanted: int, may: bool) -> None:
    assert user.would(owner, group, mode, wanted) is may


def test_a_name_gives_its_group_and_all_its_groups() -> None:
    known = pwd.getpwuid(NOBODY)
    user = user_named(known.pw_name)
    assert (user.uid, user.gid, user.is_local) == (known.pw_uid, known.pw_gid, True)
    assert user.groups >= {known.pw_gid}
    named = user_named(f"{known.pw_name}:4321")
    assert (named.gid, named.groups >= {4321, known.pw_gid}) == (4321, True)
    assert not user_named(str(NOBODY)).is_local


def test_numbers_need_no_entry_on_this_machine() -> None:
    user = user_named("54321")
    assert (user.uid, user.gid, user.groups) == (54321, 54321, {54321})
    assert user_by_id(54321, 0).groups == frozenset(), "who is in root's group is known only where the user is known"


@as_root
def test_a_data_folder_of_root_s_tells_no_user(tmp_path: Path) -> None:
    assert user_of(tmp_path.stat()) == NO_USER
    os.chown(tmp_path, 54321, 54322)
    assert (user_of(tmp_path.stat()).uid, user_of(tmp_path.stat()).gid) == (54321, 54322)


@as_root
def test_folders_above_count_for_a_user_of_this_machine_and_not_below_a_container_engine(tmp_path: Path) -> None:
    top = Path(os.path.realpath(tmp_path))
    inner = top / "docker" / "volumes" / "x"
    inner.mkdir(parents=True)
    closed = folders_above(KAT, top / "closed" / "data")
    assert closed == next((str(path) for path in reversed(top.parents) if not KAT.may(path.stat(), PASS)), str(top))
    assert folders_above(KAT, inner / "_data") == ""
    assert folders_above(BytesUser(uid=0), top / "data") == ""
    local = BytesUser(uid=1000, is_local=True)
    assert [one.status for one in folder_above_findings("/d/data", local, "/d")] == [FindingStatus.ERROR]
    assert [one.status for one in folder_above_findings("/d/data", KAT, "/d")] == [FindingStatus.WARNING]
    assert [one.status for one in folder_above_findings("/d/data", KAT, "")] == [FindingStatus.PASS]


@as_root
def test_a_worker_that_is_not_root_refuses_to_write_what_would_not_be_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker on another machine, on a share that all of them write to."""
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)  # the folders above belong to whoever runs the tests
    with as_nobody(), pytest.raises(CannotStart) as caught:
        DiskTarget(Path(), folder_mode=0o740, file_mode=0o640, run="mine", owner=(1000, 1000))
    assert caught.value.name == "owner-not-possible"
    with as_nobody():
        DiskTarget(Path(), folder_mode=0o740, file_mode=0o640, run="mine", owner=(NOBODY, NOBODY)).close()


@as_root
def test_a_file_system_that_keeps_another_owner_is_told_before_anything_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(tmp_path / "data", 0o740, (1000, 1001)):
        assert ((tmp_path / "data").stat().st_uid, (tmp_path / "data").stat().st_gid) == (1000, 1001)
        try_out(tmp_path / "data", (1000, 1001))
        monkeypatch.setattr(os, "fchown", lambda fd, user, group: None)
        with pytest.raises(CannotStart) as caught:
            try_out(tmp_path / "data", (1000, 1001))
    assert caught.value.name == "owner-not-kept"
    assert list((tmp_path / "data").iterdir()) == []
