"""The user that Bytes runs as, and what it may do with a file or folder by owner and mode.

Source: on disk Bytes opens raw files as its own user, ``kat`` (Debian) or user id 1000 (containers). Access lists (POSIX ACLs) are not
read; `has_access_list` says where there is one.
"""

from __future__ import annotations

import grp
import os
import pwd
from contextlib import suppress
from dataclasses import dataclass

from migrator.core.errors import SettingsError

SERVICE_NAME = "kat"
"""Bytes' user where Debian's package is installed."""
READ, WRITE, PASS = 0o4, 0o2, 0o1
SAVE = WRITE | PASS
"""What a folder must allow so that Bytes can save raw files in it. Reading a raw file by its name needs `PASS` alone."""
_ACCESS_LIST = "system.posix_acl_access"
_LARGEST_ID = (1 << 32) - 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesUser:
    """A user, its main group, and all groups that it is known to be in.

    `uid` None: no particular user, anyone but root. Such a user has the rights of others alone. `is_local`: Bytes runs as this user on
    this machine, so the folders above the data folder count; in a container they do not.
    """

    uid: int | None
    gid: int = 0
    groups: frozenset[int] = frozenset()
    name: str = ""
    is_local: bool = False

    def may(self, status: os.stat_result, wanted: int) -> bool:
        """Whether owner and mode allow all of `wanted`, as the kernel decides: the owner's bits, else the group's, else others'."""
        return self.would(status.st_uid, status.st_gid, status.st_mode, wanted)

    def would(self, uid: int, gid: int, mode: int, wanted: int) -> bool:
        """As `may`, for a file that is yet to be made."""
        if self.uid == 0:
            return True
        shift = 6 if uid == self.uid else 3 if gid in self.groups else 0
        return mode >> shift & wanted == wanted

    def __str__(self) -> str:
        if self.uid is None:
            return "any user but root"
        return f"{self.name} (user id {self.uid})" if self.name else f"user id {self.uid}"


NO_USER = BytesUser(uid=None)


def user_named(text: str) -> BytesUser:
    """Return the user of ``--owner USER[:GROUP]``, given by names or numbers.

    A name means a user of this machine, with all its groups. A number may be a container's user, who is in no other
    group of this machine.

    Raises:
        SettingsError: If the text has another form, or names a user or group that this machine does not know.
    """
    word, colon, group_word = text.partition(":")
    if not word or (colon and not group_word):
        raise SettingsError(
            "owner-invalid",
            f"--owner {text!r} is not USER or USER:GROUP.",
            cure="Write --owner kat, --owner kat:kat or --owner 1000:1000.",
        )
    uid, known = _user(word, text)
    gid = _group(group_word, text) if group_word else known.pw_gid if known is not None else uid
    if known is None or word.isdecimal():
        return BytesUser(uid=uid, gid=gid, groups=frozenset((gid,)))
    return BytesUser(uid=uid, gid=gid, groups=_groups(known, gid), name=known.pw_name, is_local=True)


def user_of(status: os.stat_result) -> BytesUser:
    """The user to whom a data folder belongs; `NO_USER` for root's, for Bytes does not run as root."""
    if status.st_uid == 0:
        return NO_USER
    return user_by_id(status.st_uid, status.st_gid)


def user_by_id(uid: int, gid: int) -> BytesUser:
    """A user by number: `kat` of this machine with all its groups; any other is taken to be in this group alone, and never in root's."""
    with suppress(KeyError):
        known = pwd.getpwuid(uid)
        if known.pw_name == SERVICE_NAME:
            return BytesUser(uid=uid, gid=gid, groups=_groups(known, known.pw_gid), name=known.pw_name, is_local=True)
    return BytesUser(uid=uid, gid=gid, groups=frozenset((gid,)) - {0})


def user_exists(name: str) -> bool:
    """Whether this machine knows the user."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def has_access_list(fd: int) -> bool:
    """Whether a file or folder has a POSIX access list: then owner and mode do not say all."""
    with suppress(OSError):
        return bool(os.getxattr(fd, _ACCESS_LIST))
    return False


def can_own(mode: int, wanted: int) -> bool:
    """Whether a mode allows all of `wanted` to the owner."""
    return mode >> 6 & wanted == wanted


def _user(word: str, text: str) -> tuple[int, pwd.struct_passwd | None]:
    if word.isdecimal():
        uid = _number(word, text)
        with suppress(KeyError):
            return uid, pwd.getpwuid(uid)
        return uid, None
    with suppress(KeyError, UnicodeEncodeError, ValueError):
        known = pwd.getpwnam(word)
        return known.pw_uid, known
    raise _unknown("user", word, text)


def _group(word: str, text: str) -> int:
    if word.isdecimal():
        return _number(word, text)
    with suppress(KeyError, UnicodeEncodeError, ValueError):
        return grp.getgrnam(word).gr_gid
    raise _unknown("group", word, text)


def _number(word: str, text: str) -> int:
    if word.isascii() and int(word[:11]) <= _LARGEST_ID:
        return int(word)
    raise SettingsError(
        "owner-invalid", f"--owner {text!r}: {word} is not a user or group id.", cure="Write --owner 1000:1000."
    )


def _unknown(kind: str, word: str, text: str) -> SettingsError:
    return SettingsError(
        "owner-unknown",
        f"--owner {text!r}: this machine has no {kind} {word!r}.",
        why="Bytes runs as kat (Debian), or as user id 1000 (containers).",
        cure="Check the spelling, or give numbers: --owner 1000:1000.",
    )


def _groups(known: pwd.struct_passwd, gid: int) -> frozenset[int]:
    with suppress(OSError):
        return frozenset((*os.getgrouplist(known.pw_name, known.pw_gid), gid))
    return frozenset((known.pw_gid, gid))
