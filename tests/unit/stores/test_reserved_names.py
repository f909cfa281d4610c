"""The words for what lies in a location and is no raw file."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given

from migrator.stores.reserved_names import OWN_TEMPORARY, disk_reason, is_index, key_reason, kind_of, name_reason
from tests import strategies
from tests.backends import raw_id

ID = raw_id("abc0")


@pytest.mark.parametrize(
    ("parts", "mode", "is_folder", "words"),
    [
        (("Not A Slug!",), stat.S_IFDIR, True, "not an organization's code"),
        (("README.txt",), stat.S_IFREG, False, "a file beside the organizations"),
        (("linked",), stat.S_IFLNK, False, "a symbolic link beside the organizations"),
        (("org", "backup"), stat.S_IFDIR, True, "a folder that is not an index folder"),
        (("org", "abc"), stat.S_IFLNK, False, "a symbolic link that is not an index folder"),
        (("org", "abc", ID), stat.S_IFIFO, False, "a pipe where only raw files belong"),
        (("org", "abc", ID), stat.S_IFSOCK, False, "a socket"),
        (("org", "abc", ID), stat.S_IFCHR, False, "a device"),
        (("org", "abc", ID), stat.S_IFBLK, False, "a device"),
        (("org", "abc", ID), stat.S_IFDIR, True, "a folder where only raw files belong"),
        (("org", "abd", ID), stat.S_IFREG, False, "in the wrong index folder: Bytes looks in the one named like"),
        (("org", "abc", ID.upper()), stat.S_IFREG, False, "upper case"),
        (("org", "abc", ID.replace("-", "")), stat.S_IFREG, False, "without hyphens"),
        (("org", "abc", f".{ID}.Xa81Zq"), stat.S_IFREG, False, "temporary"),
        (("org", "abc", f"{ID}.part"), stat.S_IFREG, False, "temporary"),
        (("org", "abc", "README"), stat.S_IFREG, False, "not a raw id"),
    ],
)
def test_reasons_on_disk(parts: tuple[str, ...], mode: int, is_folder: bool, words: str) -> None:
    assert words in disk_reason(parts, mode | 0o640, is_folder=is_folder)


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (f"abc/{ID}", "index folder in its key"),
        (f"raw/abc/{ID}", "index folder in its key"),
        (f"org/{ID}", "organization in its key"),
        (f"a/b/{ID}", "further slashes"),
        (f"abd/{ID}", "organization in its key"),
        ("a/", "further slashes"),
        (ID.upper(), "upper case"),
        ("README", "not a raw id"),
        (".bytes-migrator-probe/x", "a probe of this tool"),
    ],
)
def test_reasons_for_keys(rest: str, words: str) -> None:
    assert words in key_reason(rest)


@given(strategies.hostile_names())
def test_every_name_has_a_reason(name: str) -> None:
    assert name_reason(name)
    assert key_reason(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f".{ID}.0abc12.bytes-migrator", True),
        (f".{ID}.0abc12.bytes-migrator\n", False),
        (f"{ID}.0abc12.bytes-migrator", False),
        (f".{ID}..bytes-migrator", False),
        (f".{ID}.a/b.bytes-migrator", False),
        (f".{ID}.0abc12.other-tool", False),
    ],
)
def test_own_temporary_files(name: str, expected: bool) -> None:
    assert bool(OWN_TEMPORARY.fullmatch(name)) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("abc", True),
        ("000", True),
        ("ABC", False),
        ("ab", False),
        ("abcd", False),
        ("xyz", False),
        ("٠٠٠", False),
        ("", False),
    ],
)
def test_index_folders(name: str, expected: bool) -> None:
    assert bool(is_index(name)) is expected


def test_a_plain_file_is_a_file() -> None:
    assert kind_of(stat.S_IFREG) == "a file"
