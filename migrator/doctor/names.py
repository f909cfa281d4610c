"""The names of findings that `--force` takes; a name does not change with the wording."""

from __future__ import annotations

BUCKET_NAMES = "bucket-names"
BYTES_CALLS = "bytes-calls"

FINDINGS = (BUCKET_NAMES, BYTES_CALLS)
