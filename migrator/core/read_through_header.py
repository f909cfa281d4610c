"""Read-through: nginx before an S3 server answers for raw files that S3 does not have yet, from the data folder that they come from.

Such an answer says nothing of S3. Every lane takes it for "not there", and `is_from_disk` alone decides which answers those are:
otherwise a lost object would be proven by its own original.
"""

from __future__ import annotations

HEADER = "X-Bytes-Migrator"
"""On every answer of nginx with these lines, with one of the two values below."""
FROM_DISK = "from-disk"
PASSED_ON = "read-through"
MARK = "bytes-migrator read-through"
"""Stands in the file for nginx, for finding it again."""
STATUS_FOR_IT = 404
"""What an answer from disk counts as."""


def is_from_disk(value: str | None) -> bool:
    """Return True for an answer from the data folder, by the value of its `HEADER` (None: it has none)."""
    return value is not None and value.strip().lower() == FROM_DISK


def is_read_through(value: str | None) -> bool:
    """Return True for an answer of a proxy that reads through, whichever of the two places it is from."""
    return is_from_disk(value) or (value is not None and value.strip().lower() == PASSED_ON)
