"""Puts read-through together: what nginx gets, whether it can be offered, and whether it is on.

For `runbook`, `doctor` and `switch`: `read_through_verdict` gives nginx' lines and the verdict.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from migrator.app.store_factory import as_refusal
from migrator.config.locations import DiskLocation, Location, Locations, S3Location, is_aws
from migrator.core.entities import RawFile, Shard
from migrator.core.errors import MigratorError, SettingsError
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import ignore_notice
from migrator.doctor.bytes_user import PASS, BytesUser, user_exists, user_named
from migrator.doctor.nginx_lines import LISTEN, DataFolder, nginx_lines, proxy_url, read_through_files
from migrator.doctor.read_through_checks import (
    ONLY_WAY,
    FolderRights,
    aws_finding,
    folder_finding,
    is_on_finding,
    loop_finding,
    rights_commands,
    server_finding,
)
from migrator.stores.disk.ownership_repair import AccessCheck
from migrator.stores.disk.source import DiskSource
from migrator.stores.s3.probes.read_through import ask_for_missing, reads_through
from migrator.switch.journal import Story
from migrator.sync.source_overview import refuse_errors

NGINX = Path("/etc/nginx")
HOLD_SERVERS = ("conf.d", "sites-enabled", "http.d")
_USER = re.compile(r"(?m)^\s*user\s+([^\s;]+)")
_USERS = ("www-data", "nginx", "http")
_SCAN_SECONDS = 10.0
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadThrough:
    """What can be offered. `nginx`: the lines for its http section, empty where it is not offered; `without`: those that end it.

    `endpoint_url`: Bytes' AWS_ENDPOINT_URL then. `commands` let nginx' user read the data folder, to be run once Bytes is stopped.
    """

    findings: tuple[Finding, ...]
    nginx: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    endpoint_url: str = ""
    commands: tuple[str, ...] = ()


def read_through_verdict(
    locations: Locations, *, nginx_user: str | None = None, listen: str = LISTEN, nginx: Path = NGINX
) -> ReadThrough:
    """Ask the server and look at the folder, whether nginx can read raw files from both. Writes nothing.

    Raises:
        SettingsError: If the direction is another one than disk to S3.
        CannotStart: If the folder cannot be listed.
    """
    seen = inspect_both(locations, nginx_user=nginx_user, nginx=nginx)
    if seen is None:
        return ReadThrough(findings=(aws_finding(),))
    findings = (seen.server, seen.folder)
    endpoint = seen.endpoint_url
    if findings[0].status is not FindingStatus.PASS or _is_proxy(endpoint, listen):
        return ReadThrough(findings=findings, commands=rights_commands(seen.rights))
    return ReadThrough(
        findings=findings,
        nginx=nginx_lines(endpoint, listen=listen, reads=seen.reads),
        without=nginx_lines(endpoint, listen=listen),
        endpoint_url=proxy_url(endpoint, listen=listen),
        commands=rights_commands(seen.rights),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BothSeen:
    """What was seen of server and folder. `absent`: buckets that are missing; `reads`: what nginx is to read."""

    endpoint_url: str
    server: Finding
    absent: tuple[str, ...]
    rights: FolderRights
    reads: DataFolder

    @property
    def folder(self) -> Finding:
        """Return whether nginx' user can read the folder."""
        return folder_finding(self.rights)


def inspect_both(
    locations: Locations, *, nginx_user: str | None = None, nginx: Path = NGINX, folders_will_open: bool = False
) -> BothSeen | None:
    """Ask the server for missing raw files, and look at the folder's rights. Writes nothing; None before AWS itself.

    `folders_will_open`: Bytes' folders will let their group pass before nginx reads there.

    Raises:
        SettingsError: If the direction is another one than disk to S3.
        CannotStart: If the folder cannot be listed.
    """
    source, target = locations.source, locations.target
    if not isinstance(source, DiskLocation) or not isinstance(target, S3Location):
        raise SettingsError(
            "read-through-direction",
            f"There is no read-through from {source} to {target}.",
            why=ONLY_WAY,
            cure="Leave it out.",
        )
    endpoint = target.access.endpoint_url
    if endpoint is None or is_aws(endpoint):
        return None
    with as_refusal(), closing(DiskSource(source.root)) as disk:
        organizations = tuple(disk.organizations(ignore_notice))
        rights = _rights(disk, source.root, organizations, user_of_nginx(nginx_user, nginx), folders_will_open)
        seen, absent = ask_for_missing(target, organizations)
    return BothSeen(
        endpoint_url=endpoint,
        server=server_finding(seen, absent),
        absent=tuple(absent),
        rights=rights,
        reads=DataFolder(root=source.root, naming=target.naming, organizations=organizations),
    )


def offered_read_through(locations: Locations, *, nginx_user: str | None = None, listen: str = LISTEN) -> ReadThrough:
    """As `read_through_verdict`, with nginx' lines. Raises CannotStart where it cannot be offered.

    That nginx' user cannot read the data folder yet is left as a finding: `commands` give it the rights.
    """
    reads = read_through_verdict(locations, nginx_user=nginx_user, listen=listen)
    refuse_errors(reads.findings[:1], frozenset())
    if not reads.nginx:
        refuse_errors((loop_finding(listen),), frozenset())
    return reads


def _is_proxy(endpoint: str, listen: str) -> bool:
    return endpoint.rstrip("/") == proxy_url(endpoint, listen=listen)


def is_on(locations: Iterable[Location], switch: Story | None = None, *, nginx: Path = NGINX) -> Finding | None:
    """Return the error that read-through is on; None without a sign of it.

    Signs are answers of these locations' servers, nginx' files, and a `switch` that reads through and is not over.
    """
    on_s3 = {one.access.endpoint_url: one for one in locations if isinstance(one, S3Location)}
    if not on_s3:
        return None
    seen_at = [str(endpoint or "AWS") for endpoint, one in on_s3.items() if reads_through(one)]
    files = read_through_files(nginx / name for name in HOLD_SERVERS)
    if switch is not None and switch.is_open and switch.plan.proxy:
        files.append(f"{switch.plan.proxy['file']} (a switch that is not over)")
    return is_on_finding(seen_at, files)


def user_of_nginx(named: str | None, nginx: Path = NGINX) -> BytesUser | None:
    """Return nginx' user: as named, else by its configuration, else by what distributions call it; None where nothing tells."""
    if named is not None:
        return user_named(named)
    with suppress(OSError, SettingsError):
        found = _USER.search((nginx / "nginx.conf").read_text(errors="replace"))
        if found is not None:
            return user_named(found.group(1))
    return next((user_named(name) for name in _USERS if user_exists(name)), None)


def _rights(
    disk: DiskSource, root: Path, organizations: Sequence[str], user: BytesUser | None, folders_will_open: bool
) -> FolderRights:
    """Look at each raw file for some seconds, with one stat."""
    group = os.stat(root).st_gid
    if user is None:
        return FolderRights(root=str(root), user=None, group=group)
    above = next(
        (str(one) for one in reversed(Path(os.path.realpath(root)).parents) if not user.may(os.stat(one), PASS)), ""
    )
    closed: list[str] = []
    files = inspected = 0
    until = time.monotonic() + _SCAN_SECONDS
    with AccessCheck(root, user, folders_will_open=folders_will_open) as check:
        for organization in organizations:
            with suppress(MigratorError):  # what cannot be listed is told by whoever copies it
                for entry in disk.scan(Shard(organization), ignore_notice):
                    raw_file = RawFile(organization, entry.raw_id)
                    inspected += 1
                    if why := check.why_closed(raw_file):
                        files += 1
                        closed += [f"{disk.describe(raw_file)} ({why})"] if len(closed) < _SHOWN else []
                    if time.monotonic() > until:
                        break
    return FolderRights(
        root=str(root),
        user=user,
        group=group,
        above=above,
        closed=tuple(closed),
        closed_files=files,
        inspected=inspected,
    )
