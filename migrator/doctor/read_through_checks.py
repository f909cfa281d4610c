"""Whether nginx can read through to the data folder: by what the server answers for missing keys, and by nginx' rights in the folder."""

from __future__ import annotations

import grp
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from migrator.core.findings import Finding
from migrator.core.read_through_header import HEADER
from migrator.doctor.bytes_user import BytesUser
from migrator.doctor.finding_names import READ_THROUGH
from migrator.doctor.finding_shorthands import failed, passed, some_of, warned

ONLY_WAY = "Only from disk to S3 can Bytes be switched first: nginx stands before S3 alone, and serves files of a folder alone."


@dataclass(frozen=True, slots=True)
class MissingKey:
    """HTTP statuses for GET of a raw file that a bucket does not have: with Bytes' credentials, and without a signature; 0: no answer."""

    bucket: str
    signed: int
    unsigned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRights:
    """What nginx' user may read of the data folder. `user` None: not known. `above`: a folder on the way there that it cannot pass.

    `closed`: the first raw files that it cannot read, and why; `closed_files` of the `inspected`. `group` is the data folder's.
    """

    root: str
    user: BytesUser | None
    group: int
    above: str = ""
    closed: tuple[str, ...] = ()
    closed_files: int = 0
    inspected: int = 0


def server_finding(seen: Sequence[MissingKey], absent: Sequence[str]) -> Finding:
    """Whether what S3 answers with 404 can be served from disk. `absent`: buckets that do not exist yet."""
    open_to_all = [one.bucket for one in seen if one.signed == 404 and one.unsigned not in (401, 403, 400)]
    denied = [one.bucket for one in seen if one.signed == 403]
    others = [one for one in seen if one.signed not in (403, 404)]
    if absent:
        return failed(
            READ_THROUGH,
            f"These buckets do not exist yet: {some_of(absent)}.",
            "nginx reads through for buckets that exist when its file is written.",
            "Make them, or run migrate until it copies, then rerun.",
        )
    if open_to_all:
        return failed(
            READ_THROUGH,
            f"The server answers 404 without a signature for a missing raw file in {some_of(open_to_all)}.",
            "Everybody could then read the data folder's raw files.",
            "Close the bucket to unsigned requests, or switch without read-through.",
        )
    if denied:
        return failed(
            READ_THROUGH,
            f"For a raw file that is missing, Bytes' credentials get 403 and not 404 in {some_of(denied)}.",
            "Without the right to list, S3 answers 403, which nginx cannot tell from a refusal.",
            "Allow s3:ListBucket on these buckets to Bytes' key; `bytes-migrator iam-policy --for bytes` prints its other rights.",
        )
    if others or not seen:
        answers = some_of([f"{one.bucket}: HTTP {one.signed}" for one in others]) or "no bucket could be asked"
        return failed(
            READ_THROUGH,
            f"For a raw file that is missing, the server does not answer 404 ({answers}).",
            "nginx serves from the data folder what S3 answers with 404, and nothing else.",
            "Fix what `bytes-migrator doctor` reports of this server first.",
        )
    return passed(
        READ_THROUGH,
        f"In all {len(seen)} buckets, a missing raw file is answered with 404 to Bytes' credentials, and refused without a signature.",
    )


def aws_finding() -> Finding:
    """AWS takes the ``Host`` of a proxy for a bucket's name."""
    return failed(
        READ_THROUGH,
        "There is no read-through before AWS S3 itself.",
        "Bytes signs the proxy's Host, which AWS takes for a bucket's name.",
        "Switch without read-through.",
    )


def loop_finding(endpoint: str) -> Finding:
    """Return the error for an endpoint that is nginx' own address, so that it would ask itself."""
    return failed(
        READ_THROUGH,
        f"{endpoint} is where nginx is to listen, so it would ask itself.",
        "nginx' file needs the S3 server's own address.",
        "Give the server's own endpoint with --endpoint-url.",
    )


def folder_finding(rights: FolderRights) -> Finding:
    """Whether nginx' user can read the data folder."""
    if rights.user is None:
        return warned(
            READ_THROUGH,
            f"nginx' user is not known on this machine, so whether it can read {rights.root} was not looked at.",
            "What it cannot read stays unreadable until it is copied.",
            f"Name it with --nginx-user. If nginx runs in a container, mount the data folder there, at "
            f"{rights.root}, read-only.",
        )
    if rights.above or rights.closed_files:
        seen = (
            f"nginx' user, {rights.user}, cannot pass {rights.above}, a folder above {rights.root}."
            if rights.above
            else f"nginx' user, {rights.user}, cannot read {rights.closed_files:,} of {rights.inspected:,} raw files that were looked at:"
            f" {some_of(rights.closed)}."
        )
        return failed(
            READ_THROUGH,
            seen,
            "Bytes' folders have mode 740: its group may not pass them.",
            f"As root, once Bytes is stopped: {'; '.join(rights_commands(rights))}",
        )
    return passed(
        READ_THROUGH, f"nginx' user, {rights.user}, can read all {rights.inspected:,} raw files that were looked at."
    )


def rights_commands(rights: FolderRights) -> tuple[str, ...]:
    """The commands that let nginx' user read what Bytes saved: into Bytes' group, which then may pass the folders."""
    user = (rights.user.name or str(rights.user.uid)) if rights.user is not None else "www-data"
    root = shlex.quote(rights.root)
    group = str(rights.group)
    with suppress(KeyError):
        group = grp.getgrgid(rights.group).gr_name
    commands = [f"chmod o+x {shlex.quote(rights.above)}"] if rights.above else []
    if rights.group == 0:  # nobody should be in root's group
        commands.append(f"setfacl -R -m u:{user}:rX {root}")
    else:
        commands += [f"usermod -aG {group} {user}", f"find {root} -type d -exec chmod g+x {{}} +"]
    return (*commands, "systemctl restart nginx")


def is_on_finding(seen_at: Sequence[str], files: Sequence[str]) -> Finding | None:
    """That read-through is on: endpoints whose answers say so, and nginx' files that have its lines. None: no sign of it."""
    if not seen_at and not files:
        return None
    signs = [f"answers of {some_of(seen_at)} carry {HEADER}"] if seen_at else []
    signs += [f"nginx has its lines in {some_of(files)}"] if files else []
    return failed(
        READ_THROUGH,
        f"Read-through is on: {' and '.join(signs)}.",
        "nginx would hide that S3 lost raw files, until the data folder is pruned.",
        "Put nginx' lines without read-through in place of these (`bytes-migrator runbook` prints them), reload "
        "nginx, check that Bytes can read everything, then rerun.",
    )
