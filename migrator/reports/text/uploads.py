"""Unfinished uploads as text and JSON."""

from __future__ import annotations

import time
from dataclasses import dataclass

from migrator.core.entities import UnfinishedUpload
from migrator.reports.formatting import Whole, duration, plural, shown, size
from migrator.reports.json import as_json
from migrator.reports.report import SCHEMA
from migrator.reports.text.wrapping import joined


@dataclass(frozen=True, slots=True)
class SeenUpload:
    """An upload of the ledger, and what the server has of it: None for one that it does not know (any more)."""

    upload: UnfinishedUpload
    parts: int | None
    bytes: int


@dataclass(frozen=True, slots=True)
class UnclaimedUpload:
    """One under a raw file's name that is not in the ledger: another program's, or begun in the instant before a kill."""

    bucket: str
    key: str
    upload_id: str
    began_at: float


@dataclass(frozen=True, slots=True)
class UnfinishedUploads:
    """`unclaimed` is None where the server does not list uploads, or these credentials may not."""

    own: tuple[SeenUpload, ...]
    unclaimed: tuple[UnclaimedUpload, ...] | None = ()


def uploads_as_json(uploads: UnfinishedUploads) -> str:
    """The document of ``uploads --json``."""
    found, unclaimed = uploads.own, uploads.unclaimed
    return as_json(
        {
            "schema": SCHEMA,
            "command": "uploads",
            "unclaimed": None
            if unclaimed is None
            else [
                {"where": f"s3://{each.bucket}/{each.key}", "upload_id": each.upload_id, "began_at": each.began_at}
                for each in unclaimed
            ],
            "uploads": [
                {
                    "organization": seen.upload.organization,
                    "id": seen.upload.raw_id,
                    "where": f"s3://{seen.upload.bucket}/{seen.upload.key}",
                    "upload_id": seen.upload.upload_id,
                    "began_at": seen.upload.began_at,
                    "parts": seen.parts,
                    "bytes": seen.bytes,
                    "known_to_server": seen.parts is not None,
                }
                for seen in found
            ],
        }
    )


def uploads_as_text(uploads: UnfinishedUploads, width: int | None = None) -> str:
    """Return the unfinished uploads, and for those of unknown origin the command that would abort them."""
    lines = [_line(seen) for seen in uploads.own] or ["No unfinished upload of this tool is known here."]
    if uploads.unclaimed:
        lines += [
            "",
            f"{plural(len(uploads.unclaimed), 'upload')} of unknown origin under names of raw files, left alone. Another program "
            "began them, or a run of this tool that was killed just then. If nothing else uploads there:",
            *(_command_of(each) for each in uploads.unclaimed),
        ]
    return joined(lines, width)


def _command_of(each: UnclaimedUpload) -> str:
    words = f"--bucket {shown(each.bucket)} --key {shown(each.key)} --upload-id {shown(each.upload_id)}"
    return Whole(f"  aws s3api abort-multipart-upload {words}")


def _line(seen: SeenUpload) -> str:
    upload = seen.upload
    age = duration(max(0.0, time.time() - upload.began_at))
    state = "unknown to the server" if seen.parts is None else f"{plural(seen.parts, 'part')}, {size(seen.bytes)}"
    return f"s3://{shown(upload.bucket)}/{shown(upload.key)}  begun {age} ago, {state}"
