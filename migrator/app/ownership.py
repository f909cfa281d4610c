"""Whom Bytes runs as at a target on disk, and whether that user can use what lies there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic

from migrator.app.options import Options
from migrator.config.locations import DiskLocation, Location
from migrator.core.cancellation import Flag
from migrator.core.entities import RawFile
from migrator.core.findings import Finding, FindingStatus
from migrator.doctor import finding_names
from migrator.doctor.bytes_user import NO_USER, BytesUser, user_by_id, user_of
from migrator.doctor.disk_checks import access_findings
from migrator.stores.disk.ownership_repair import AccessCheck, AccessScan, Correction
from migrator.stores.disk.preflight import folders_above
from migrator.sync.messages import ProgressEvent
from migrator.sync.source_overview import as_forced, not_inspected


def bytes_user(location: Location, options: Options) -> BytesUser | None:
    """Whom Bytes runs as: ``--owner``, else the data folder's owner, else whoever runs this. None where the location is not a disk.

    `NO_USER` where only root is known: as root, with a data folder of root's, or one that is yet to be made below a folder of root's.
    None there too if nothing says that Bytes will read this folder.
    """
    if not isinstance(location, DiskLocation):
        return None
    user = options.owner or _guessed_user(location)
    return user if user.uid is not None or location.is_for_bytes else None


def _guessed_user(location: DiskLocation) -> BytesUser:
    is_there = os.path.isdir(location.root)
    try:
        status = os.stat(location.root if is_there else location.root.parent)
    except OSError:
        return NO_USER  # a look at the target tells why it cannot be used
    if os.geteuid() == 0 or (is_there and status.st_uid != 0):
        return user_of(status)
    own = user_by_id(os.geteuid(), os.getegid())
    return replace(own, groups=own.groups | frozenset(os.getgroups()))


def owner_for(user: BytesUser | None) -> tuple[int, int] | None:
    """The owner that new raw files and folders must have. None: whoever makes them, or the data folder's owner."""
    if user is None or user.uid is None or os.geteuid() not in (0, user.uid):
        return None
    return user.uid, user.gid


class Ownership:
    """A look at owners and modes at a target on disk: nothing on S3, where it was not asked for, or where the finding is forced.

    With `corrects`, and as root, what keeps Bytes' user out is set right; without `writes` that is only counted. `seconds`: look no
    longer than that.
    """

    def __init__(
        self,
        location: Location,
        options: Options,
        *,
        corrects: bool = False,
        writes: bool = True,
        seconds: float | None = None,
        stopping: Flag | None = None,
    ) -> None:
        self._forced = options.forced
        self._scan: AccessScan | None = None
        user = bytes_user(location, options)
        is_forced = self._is_left_out = finding_names.CLOSED in options.forced and user is not None
        if user is not None and user.uid is None:
            is_forced = is_forced or finding_names.SERVICE_USER in options.forced
        if user is None or not isinstance(location, DiskLocation) or is_forced or not options.checks_access:
            return
        correction = None
        if corrects and os.geteuid() == 0 and user.uid is not None:
            correction = Correction(
                owner=(user.uid, user.gid),
                folder_mode=location.folder_mode,
                file_mode=location.file_mode,
                writes=writes,
            )
        until = monotonic() + seconds if seconds is not None else None

        def stop() -> bool:
            return (stopping is not None and stopping.is_set()) or (until is not None and monotonic() > until)

        self._root, self._user = location.root, user
        self._scan = AccessScan(location.root, user, options.organizations, correction=correction, stop=stop)

    def events(self) -> Iterator[ProgressEvent]:
        """Look, and tell what is to be counted. Raises CannotStart."""
        if self._scan is not None:
            yield from self._scan.run()

    def scan(self) -> tuple[Finding, ...]:
        """Look at all of it, and give only the findings. Raises CannotStart."""
        for _ in self.events():
            pass
        return self.findings()

    def findings(self, *, passed: bool = False) -> tuple[Finding, ...]:
        """What was found, once all events were taken; what `passed` too, if that is asked for."""
        if self._scan is None:
            left_out = not_inspected(finding_names.CLOSED, "Whether Bytes' user can use what lies at the target")
            return (left_out,) if self._is_left_out else ()
        found, above = self._scan.found, folders_above(self._user, self._root)
        findings = access_findings(str(self._root), self._user, found.tally, found.first, found.lists, above)
        return as_forced([one for one in findings if passed or one.status is not FindingStatus.PASS], self._forced)


@contextmanager
def why_closed(location: Location, options: Options) -> Iterator[Callable[[RawFile], str]]:
    """Tells for single raw files why Bytes' user may not read them; on S3 it always may."""
    user = bytes_user(location, options)
    if user is None or not isinstance(location, DiskLocation):
        yield lambda raw_file: ""
        return
    with AccessCheck(location.root, user) as check:
        yield check.why_closed
