"""Packs a source distribution anew, the same to the byte whenever and by whomever it was built: times of the commit, no owners.

steady_sdist.py FILE.tar.gz      SOURCE_DATE_EPOCH gives the time, in seconds
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
from pathlib import Path


def pack_anew(path: Path, seconds: int) -> None:
    """Replace the archive by one with its members in order of their names."""
    packed = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda found: found.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = seconds, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with path.open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=seconds) as zipped:
        zipped.write(packed.getvalue())


if __name__ == "__main__":
    pack_anew(Path(sys.argv[1]), int(os.environ["SOURCE_DATE_EPOCH"]))
