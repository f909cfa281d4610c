"""Unfinished uploads as text and JSON."""

from __future__ import annotations

import time
from dataclasses import dataclass

from migrator.model import UnfinishedUpload
from migrator.reports.json import as_json
from migrator.reports.report import SCHEMA
from migrator.reports.words import duration, plural, shown, size


@dataclass(frozen=True, slots=True)
class SeenUpload:
    """An upload of the ledger, and what the server has of it: None for one that it does not know (any more)."""

    upload: UnfinishedUpload
    parts: int | None
    bytes: int


def uploads_as_json(found: tuple[SeenUpload, ...]) -> str:
    """The document of ``uploads --json``."""
    return as_json(
        {
            "schema": SCHEMA,
            "command": "uploads",
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


def uploads_as_text(found: tuple[SeenUpload, ...]) -> str:
    if not found:
        return "No unfinished upload of this tool is known here."
    return "\n".join(_line(seen) for seen in found)


def _line(seen: SeenUpload) -> str:
    upload = seen.upload
    age = duration(max(0.0, time.time() - upload.began_at))
    state = "unknown to the server" if seen.parts is None else f"{plural(seen.parts, 'part')}, {size(seen.bytes)}"
    return f"s3://{shown(upload.bucket)}/{shown(upload.key)}  begun {age} ago, {state}"
