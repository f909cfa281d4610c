"""What may lie in a location besides raw files, and the words for it."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable

from migrator.core.entities import INDEX_LENGTH, is_raw_id
from migrator.core.naming import is_organization
from migrator.core.notices import OTHER_FOLDER

OWN_TEMPORARY = re.compile(r"\.([0-9a-f-]{36})\.([0-9a-z]+)\.bytes-migrator")
"""Temporary files of this tool: raw id and run. They lie beside their final name and are no strays."""


FILE_SYSTEMS_OWN = "lost+found"
"""The folder that ext4 makes at the top of each file system: nobody put it there, so it is not a stray."""
_PARTIAL_MARK = re.compile(r"p[0-9a-f]{16}")


def temporary_name(raw_id: str, run: str) -> str:
    """Where a run writes a raw file before it has its name."""
    return f".{raw_id}.{run}.bytes-migrator"


def partial_name(raw_id: str, source_version: str) -> str:
    """Where any run writes a large raw file whose source has this stamp, so that the next one can go on."""
    return temporary_name(raw_id, f"p{hashlib.sha256(source_version.encode()).hexdigest()[:16]}")


def is_partial(name: str) -> bool:
    """Whether `partial_name` made this name."""
    match = OWN_TEMPORARY.fullmatch(name)
    return match is not None and _PARTIAL_MARK.fullmatch(match.group(2)) is not None


is_index: Callable[[str], object] = re.compile(f"[0-9a-f]{{{INDEX_LENGTH}}}").fullmatch
"""Whether Bytes could have given this name to an index folder."""

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind_of(mode: int) -> str:
    """Return what a file of this mode is, in words: such as a folder, a link or a socket."""
    return next((kind for test, kind in _KINDS if test(mode)), "a file")


def disk_reason(parts: tuple[str, ...], mode: int, *, is_folder: bool) -> str:
    """Why Bytes never reads this, in words."""
    name = parts[-1]
    kind = kind_of(mode)
    if len(parts) == 1:
        return OTHER_FOLDER if is_folder else f"{kind} beside the organizations"
    if len(parts) == 2:
        return f"{kind} that is not an index folder (three lower-case hex characters)"
    if kind != "a file":
        return f"{kind} where only raw files belong"
    if is_raw_id(name):
        return "in the wrong index folder: Bytes looks in the one named like the id's first three characters"
    return name_reason(name)


LINKED_FOLDER_REASON = "a symbolic link to a folder: Bytes follows it, bytes-migrator does not"


def link_hides(parts: tuple[str, ...], mode: int) -> str:
    """Return what Bytes reads through a symbolic link: "folder", "file", or "" where it reads nothing.

    Bytes opens paths as they are (`bytes/raw/file_raw_repository.py`), so links lead it anywhere. `parts` is the path below the data
    folder, `mode` that of what the link leads to.
    """
    if len(parts) == 3:
        is_raw_file = is_raw_id(parts[2]) and parts[2].startswith(parts[1]) and len(parts[1]) == INDEX_LENGTH
        return "file" if is_raw_file and stat.S_ISREG(mode) else ""
    is_folder = is_organization(parts[0]) if len(parts) == 1 else bool(is_index(parts[1]))
    return "folder" if is_folder and stat.S_ISDIR(mode) else ""


_WITHOUT_HYPHENS = re.compile(r"[0-9a-fA-F]{32}")
_TEMPORARY_SIGNS = (".part", ".tmp", ".partial", ".crdownload", "~")


def name_reason(name: str) -> str:
    """Why a file of this name, or a key that ends in it, is no raw file, in words."""
    if is_raw_id(name.lower()):
        return "upper case: Bytes reads only lower-case ids"
    if _WITHOUT_HYPHENS.fullmatch(name):
        return "an id without hyphens: Bytes reads only the canonical form"
    if name.startswith(".") or name.endswith(_TEMPORARY_SIGNS):
        return "a hidden or temporary file"
    return "its name is not a raw id"


PROBE_PREFIX = ".bytes-migrator-probe/"
"""Keys of this tool's own probes begin with this; Bytes can never take one for a raw file."""
LOCK_PREFIX = ".bytes-migrator-lock/"
"""Keys of the marks with which `prune` holds a bucket begin with this."""
OWN_PREFIXES = (PROBE_PREFIX, LOCK_PREFIX)
LOCK_FILE = ".bytes-migrator-lock"
"""The file with which `prune` holds a data folder whose file system has no locks between machines."""


def key_reason(rest: str) -> str:
    """Why the object whose key goes on with `rest` after the organization's prefix is no raw file, in words."""
    if rest.startswith(PROBE_PREFIX):
        return "a probe of this tool that could not be removed"
    if rest.startswith(LOCK_PREFIX):
        return "the mark of a run of prune"
    folder, slash, name = rest.rpartition("/")
    if slash and is_raw_id(name) and name.startswith(folder.rpartition("/")[2]) and is_index(folder.rpartition("/")[2]):
        return "with an index folder in its key, as a copy of the data folder by another tool leaves it: Bytes never looks there"
    if slash and is_organization(folder) and is_raw_id(name):
        return "with an organization in its key, as in a single bucket: Bytes never looks there"
    if slash:
        return "a key with further slashes: Bytes never looks there"
    return name_reason(rest)
