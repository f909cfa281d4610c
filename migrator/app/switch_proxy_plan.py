"""Plans read-through for a switch: which file of nginx, what it gets, and whether it can work. Writes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from urllib.parse import urlsplit

from migrator.app.read_through import HOLD_SERVERS, NGINX, BothSeen, inspect_both
from migrator.config.locations import DEFAULT_PORTS, Locations, endpoint_identity
from migrator.core.errors import CannotStart, SettingsError
from migrator.core.findings import Finding, FindingStatus
from migrator.doctor.finding_shorthands import some_of, warned
from migrator.doctor.nginx_lines import (
    LISTEN,
    ProxyLines,
    nginx_lines,
    proxy_lines,
    proxy_url,
    reading_through,
    without_reading_through,
)
from migrator.doctor.read_through_checks import aws_finding
from migrator.ledger.directory import StateFolder
from migrator.reports.switch_report import ProxyProposal
from migrator.switch.proxy import Proxy, read_file
from migrator.switch.settings_store import digest
from migrator.sync.source_overview import refuse_errors

_NEW_FILE = "bytes-s3.conf"
_SYSTEMD = Path("/run/systemd/system")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """What the operator says of nginx; None and "" where nothing was said. `folder` is where nginx has its configuration."""

    file: Path | None = None
    test: str = ""
    reload: str = ""
    listen: str = ""
    user: str | None = None
    folder: Path = NGINX


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedProxy:
    """nginx' file as it is (None: there is none) and as it will be. `endpoint_url` is Bytes' AWS_ENDPOINT_URL then."""

    proxy: Proxy
    old: bytes | None
    on: bytes
    user: str | None
    proposal: ProxyProposal
    findings: tuple[Finding, ...]

    @property
    def endpoint_url(self) -> str:
        """Return where Bytes reaches nginx."""
        return self.proxy.endpoint_url


def plan_proxy(
    request: ProxyRequest,
    locations: Locations,
    state: StateFolder,
    *,
    run: str,
    creates_buckets: bool,
    forced: frozenset[str],
) -> PlannedProxy:
    """Look at nginx, at the server, and at the data folder's rights.

    Raises:
        SettingsError: If the direction is another one than disk to S3, or nginx' file is not one that can be used.
        CannotStart: If read-through cannot work here, or nginx refuses its present configuration.
    """
    seen = inspect_both(locations, nginx_user=request.user, nginx=request.folder, folders_will_open=True)
    if seen is None:
        finding = aws_finding()
        raise CannotStart(finding.name, finding.seen, why=finding.why, cure=finding.cure)
    findings = tuple(_findings(seen, creates_buckets=creates_buckets))
    refuse_errors(findings, forced)
    file, found = nginx_file(request)
    old = read_file(file)
    lines, endpoint = lines_and_endpoint(file, old, request, seen.endpoint_url)
    root = Path(os.path.abspath(seen.reads.root))
    text = "\n".join(reading_through(lines, replace(seen.reads, root=root), path=urlsplit(endpoint).path.rstrip("/")))
    on = (text if text.endswith("\n") else f"{text}\n").encode(errors="surrogateescape")
    proxy = Proxy(
        file=file,
        test=request.test or "nginx -t",
        reload=request.reload or ("systemctl reload nginx" if _SYSTEMD.exists() else "nginx -s reload"),
        backup=state.path / f"nginx-before-switch-{run}.conf",
        endpoint_url=endpoint,
        digest_on=digest(on),
        is_new=old is None,
    )
    _refuse_unusable(request, proxy)
    proposal = ProxyProposal(
        file=str(file),
        found=found,
        test=proxy.test,
        reload=proxy.reload,
        endpoint_url=endpoint,
        added=_added(old, on),
        is_new=old is None,
    )
    return PlannedProxy(proxy=proxy, old=old, on=on, user=request.user, proposal=proposal, findings=findings)


def _findings(seen: BothSeen, *, creates_buckets: bool) -> Iterator[Finding]:
    """Yield the verdict on server and folder; buckets that the switch will make are asked once they are there."""
    if seen.absent and creates_buckets:
        yield warned(
            seen.server.name,
            f"These buckets do not exist yet: {some_of(list(seen.absent))}.",
            "Whether nginx can read through before them is looked at once they are made, before Bytes is stopped.",
        )
    else:
        yield seen.server
    yield seen.folder


def nginx_file(request: ProxyRequest) -> tuple[Path, str]:
    """Return nginx' file, and how it was found, in words.

    Raises:
        SettingsError: If it is not unmistakable.
    """
    if request.file is not None:
        return request.file.absolute(), "by --nginx-file"
    folders = [request.folder / name for name in HOLD_SERVERS if (request.folder / name).is_dir()]
    ours = [path for folder in folders for path in sorted(folder.glob("*")) if _is_ours(path)]
    real = {path.resolve(): path for path in ours}
    if len(real) == 1:
        return next(iter(real.values())), "found: the only one with the lines of bytes-migrator"
    if not real and (request.folder / HOLD_SERVERS[0]).is_dir():
        return request.folder / HOLD_SERVERS[0] / _NEW_FILE, "a new file, in the folder that nginx reads"
    raise SettingsError(
        "read-through-file",
        "Which file of nginx is before the S3 server cannot be guessed here.",
        why=f"These have the lines of bytes-migrator: {', '.join(map(str, ours))}."
        if ours
        else f"There is no nginx here: {request.folder / HOLD_SERVERS[0]} does not exist.",
        cure="Name it by --nginx-file, with --nginx-test and --nginx-reload where nginx runs elsewhere, such as in a container.",
    )


def _is_ours(path: Path) -> bool:
    try:
        return path.is_file() and proxy_lines(path.read_text(errors="surrogateescape").splitlines()) is not None
    except OSError:
        return False


def lines_and_endpoint(file: Path, old: bytes | None, request: ProxyRequest, endpoint: str) -> tuple[list[str], str]:
    """Return the lines without read-through, and Bytes' endpoint through nginx.

    Raises:
        SettingsError: If the file is another one, or passes on to another server than the target's.
    """  # noqa: DOC501 made by _other_server
    if old is None:
        listen = request.listen or LISTEN
        if endpoint_identity(proxy_url(endpoint, listen=listen)) == endpoint_identity(endpoint):
            raise _other_server(file, f"{endpoint} is where nginx is to listen, so it would ask itself.")
        return list(nginx_lines(endpoint, listen=listen)), proxy_url(endpoint, listen=listen)
    lines = list(without_reading_through(old.decode(errors="surrogateescape").splitlines()))
    found = proxy_lines(lines)
    if found is None:
        raise SettingsError(
            "read-through-file",
            f"{file} is not nginx' file before the S3 server: it has no lines of bytes-migrator.",
            why="Only lines that `bytes-migrator runbook` and `doctor` print are changed.",
            cure="Name it with --nginx-file, or a new file in a folder that nginx reads.",
        )
    if endpoint_identity(found.server) == endpoint_identity(_without_path(endpoint)):
        return lines, proxy_url(endpoint, listen=request.listen or found.listen)
    if _port(endpoint) == _port_of(found):
        return lines, endpoint
    raise _other_server(
        file, f"{file} is before {found.server} and listens at {found.listen}; the target is at {endpoint}."
    )


def _without_path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


def _port_of(found: ProxyLines) -> int:
    number = found.listen.rpartition(":")[2]
    return int(number) if number.isdigit() else 0


def _other_server(file: Path, what: str) -> SettingsError:
    return SettingsError(
        "read-through-other-server",
        what,
        why=f"With {file}, nginx would not read through before the server that Bytes is switched to.",
        cure="Set the target's AWS_ENDPOINT_URL to the S3 server's or nginx' address; name nginx' file with "
        "--nginx-file.",
    )


def _refuse_unusable(request: ProxyRequest, proxy: Proxy) -> None:
    """Look whether nginx can be tested, reloaded and given a file.

    Raises:
        CannotStart: If not; Bytes runs.
    """
    if not (request.test and request.reload) and shutil.which("nginx") is None:
        raise CannotStart(
            "read-through-no-nginx",
            "There is no nginx on this machine, or it is not in PATH.",
            why="Read-through is nginx', before the S3 server.",
            cure="If it runs elsewhere, give --nginx-test and --nginx-reload; or switch without --read-through.",
        )
    folder = proxy.file.resolve().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotStart(
            "read-through-file",
            f"nginx' file {proxy.file} cannot be replaced: this runs as user id {os.geteuid()}, which may not write to {folder}.",
            cure="Rerun as root, or name another file by --nginx-file.",
        )
    proxy.refuse_refused()


def _added(old: bytes | None, on: bytes) -> tuple[str, ...]:
    """Return the lines that come in, each behind ``+ ``."""
    before = old.decode(errors="replace").splitlines() if old is not None else []
    after = on.decode(errors="replace").splitlines()
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return tuple(f"+ {line}" for kind, _, _, start, end in changes if kind != "equal" for line in after[start:end])


def refuse_unreadable_folder(locations: Locations, request: ProxyRequest, forced: frozenset[str]) -> None:
    """Look at server and folder once more, with all buckets there.

    Raises:
        CannotStart: If a missing raw file is not answered as it has to be, or nginx' user cannot read the folder.
    """
    seen = inspect_both(locations, nginx_user=request.user, nginx=request.folder, folders_will_open=True)
    if seen is not None:
        found = [one for one in (seen.server, seen.folder) if one.status is FindingStatus.ERROR]
        refuse_errors(found, forced)
