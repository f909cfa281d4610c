"""Whether Bytes reads the place that raw files are to be deleted from: compared through links, mounts, containers and names of servers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from migrator.app.bytes_place import BytesPlace, unknown_settings
from migrator.app.options import Options
from migrator.checks.audit.bytes_api import BytesApi, Reply
from migrator.checks.audit.database_row import Recorded
from migrator.config.locations import DEFAULT_PORTS, DiskLocation, Location, Locations, S3Location, endpoint_identity
from migrator.core.entities import RawFile
from migrator.core.errors import CannotStart, MustStop
from migrator.core.findings import Finding
from migrator.doctor.finding_names import BYTES_MAY_READ as MAY_READ
from migrator.doctor.finding_shorthands import warned

_VOLUMES = ("/docker/volumes/", "/containers/storage/volumes/", "/kubelet/pods/")
_PROCESSES = Path("/proc")


@dataclass(frozen=True, slots=True)
class Unsure:
    """Why it cannot be said whether two locations are one place."""

    why: str


def refuse_unknown(place: BytesPlace, options: Options) -> None:
    """Refuse to go on without Bytes' settings, before anything is opened.

    Raises:
        SettingsError: If they are not known, and that is not forced.
    """  # noqa: DOC501 made by unknown_settings
    if not place.is_known and MAY_READ not in options.forced:
        raise unknown_settings()


def reading_findings(
    locations: Locations, place: BytesPlace, organizations: Sequence[str], options: Options
) -> tuple[Finding, ...]:
    """Refuse to delete what Bytes reads; return what was forced.

    Raises:
        CannotStart: If Bytes reads the source, or may do so and that is not forced.
    """  # noqa: DOC501 made by may_read
    forced = MAY_READ in options.forced
    if not place.is_known:
        return (_forced("Bytes' own settings are not known."),)
    findings = []
    for location in place.locations:
        found = is_read(locations.source, location, organizations, in_container=place.in_container)
        if found is True:
            raise CannotStart(
                "bytes-reads-the-source",
                f"Bytes reads raw files of {locations.source}: its settings say {location}.",
                why=_why_read(locations.source, location),
                cure="Switch Bytes to the other place first, then give its new settings here (--env-file).",
            )
        if isinstance(found, Unsure):
            if not forced:
                raise may_read(locations.source, location, found.why)
            findings.append(_forced(found.why))
    return tuple(dict.fromkeys(findings))


def _why_read(source: Location, read: Location) -> str:
    missing = "Bytes would find none of the raw files that are deleted there."
    if source.identity == read.identity:
        return missing
    by = (
        "a link, a mount or a container's path leads"
        if isinstance(source, DiskLocation)
        else "another name of the server leads"
    )
    return f"The one is the other: {by} from it to raw files of the source. {missing}"


def may_read(source: Location, read: Location, why: str) -> CannotStart:
    """Return the error for a source of which nobody can say that Bytes does not read it."""
    return CannotStart(
        "bytes-may-read-the-source",
        f"Bytes may read {source}: its settings say {read}.",
        why=why,
        cure="Make sure that it does not: for example, rename the source and open an old raw file in OpenKAT. "
        f"Then add --force {MAY_READ}. Nothing was deleted.",
    )


def _forced(why: str) -> Finding:
    return warned(
        "bytes-may-read-the-source",
        f"Forced: it is not sure that Bytes does not read the source. {why}",
        "Bytes loses every raw file that it still reads there.",
        "Ask the running Bytes, too: --api URL.",
    )


def is_read(source: Location, read: Location, organizations: Sequence[str], *, in_container: bool) -> bool | Unsure:
    """Whether Bytes, reading at `read`, reads raw files of the source; nothing is written to find out."""
    if isinstance(source, DiskLocation) and isinstance(read, DiskLocation):
        return _is_folder_read(source.root, read.root, organizations, in_container=in_container)
    if isinstance(source, S3Location) and isinstance(read, S3Location):
        return _are_objects_read(source, read, organizations)
    return False  # a folder with index folders is never read as a bucket, nor the other way round: the names differ


def have_same_names(source: Location, read: Location, organizations: Sequence[str]) -> bool:
    """Whether raw files would lie under the same names of the same buckets, if both were one server."""
    if not isinstance(source, S3Location) or not isinstance(read, S3Location):
        return False
    mine, its = source.naming, read.naming
    return any(
        (mine.bucket_of(name), mine.key_prefix_of(name)) == (its.bucket_of(name), its.key_prefix_of(name))
        for name in organizations
    )


def _are_objects_read(source: S3Location, read: S3Location, organizations: Sequence[str]) -> bool:
    """Other names of one server than its host names' addresses tell are found out by a mark, right before anything is deleted."""
    if not have_same_names(source, read, organizations):
        return source.identity == read.identity
    urls = source.access.endpoint_url, read.access.endpoint_url
    if endpoint_identity(urls[0]) == endpoint_identity(urls[1]):
        return True
    return bool(set(_addresses(urls[0])) & set(_addresses(urls[1])))


def _addresses(url: str | None) -> Iterator[tuple[str, int]]:
    """The addresses and ports that an endpoint's name stands for; none for AWS, whose names are known, and where no server tells."""
    if url is None:
        return
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    for family, _, _, _, address in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            yield str(address[0]), port


def _is_folder_read(source: Path, read: Path, organizations: Sequence[str], *, in_container: bool) -> bool | Unsure:
    if _is_one_folder(source, read) or any(_shares_folders(source / name, read / name) for name in organizations):
        return True
    process = _process_that_sees(source, read)
    if process:
        return True
    if not os.path.isdir(read):
        return Unsure(f"There is no folder {read} here: it may be the name of {source} in a container.")
    if in_container:
        return Unsure(f"{read} may be the name of {source} in a container, whatever the folder {read} here is.")
    real = os.path.realpath(source)
    if any(word in f"{real}/" for word in _VOLUMES):
        return Unsure(f"{source} is the volume of a container, in which it has another name.")
    return False


def _shares_folders(source: Path, read: Path) -> bool:
    """Whether an organization's folder, or one of its index folders, is the same at both places: by a link or a mount."""
    if _is_one_folder(source, read):
        return True
    try:
        names = os.listdir(source)
    except OSError:
        return False
    return any(_is_one_folder(source / name, read / name) for name in names)


def _is_one_folder(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _process_that_sees(source: Path, read: Path) -> str:
    """The id of a process, in a container for example, that finds the source under the path of Bytes' settings; "" for none.

    Without the right to look at other users' processes only those of this user are found.
    """
    namespaces = {_namespace("self")}
    for process in filter(str.isdecimal, _listed(_PROCESSES)):
        namespace = _namespace(process)
        if not namespace or namespace in namespaces:
            continue
        namespaces.add(namespace)
        if _is_one_folder(source, _PROCESSES / process / "root" / str(read).lstrip("/")):
            return process
    return ""


def _namespace(process: str) -> str:
    try:
        return os.readlink(_PROCESSES / process / "ns" / "mnt")
    except OSError:
        return ""


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


# --- asking the running Bytes ----------------------------------------------------------------------------------------


class AsksBytes:
    """Asks a running Bytes for raw files that go, or have gone. Raises CannotStart when the login fails."""

    def __init__(self, api: BytesApi) -> None:
        self._api = api

    def before(self, raw_files: Sequence[RawFile]) -> None:
        """Ask Bytes for the raw files before anything is deleted.

        Raises:
            CannotStart: If it does not answer one of them.
        """
        reason = self._not_answered(raw_files)
        if reason:
            raise CannotStart(
                "bytes-does-not-answer",
                f"{reason} It was asked before anything is deleted.",
                why="Bytes cannot read now, or has no row for this one.",
                cure="See Bytes' log and `bytes-migrator audit`. Nothing was deleted.",
            )

    def after(self, raw_files: Sequence[RawFile]) -> None:
        """Ask Bytes for the raw files after the first were deleted.

        Raises:
            MustStop: If it does not answer one of them any more.
        """
        reason = self._not_answered(raw_files)
        if reason:
            raise MustStop(
                "bytes-misses-deleted-files",
                f"{reason} It answered before the first raw files were deleted.",
                why="Bytes still reads at the source, or failed at this moment.",
                cure=(
                    "Do not delete more. The manifest lists what is gone; `bytes-migrator migrate` with --from "
                    "and --to swapped brings it back."
                ),
            )

    def _not_answered(self, raw_files: Sequence[RawFile]) -> str:
        if raw_files:
            self._api.sign_in()  # a token holds for some minutes
        for raw_file in raw_files:
            answer = self._api.ask(Recorded(raw_file.organization, raw_file.raw_id))
            if answer.reply not in (Reply.PROVEN, Reply.UNHASHED):
                return f"The running Bytes does not give {raw_file.organization}/{raw_file.raw_id}: {answer.reason}."
        return ""
