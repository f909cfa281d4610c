"""Part sizes within S3's limits, by s3transfer's `ChunksizeAdjuster`. An upload that is resumed keeps the part size that the ledger has."""

from __future__ import annotations

from s3transfer.utils import MAX_PARTS, MIN_UPLOAD_CHUNKSIZE, ChunksizeAdjuster

from migrator.core.size_thresholds import MIB, SMALLEST_PART

MOST_PARTS = MAX_PARTS
"""S3's limit on the number of parts: 10,000 (AWS, "Amazon S3 multipart upload limits")."""

SMALLEST_OF_S3 = MIN_UPLOAD_CHUNKSIZE
"""Bytes that every part but the last must have: 5 MiB, the same source."""

LARGEST_PART = 1 << 30
"""Bytes of the largest part that is sent: some of them are in memory at once where they come from a bucket."""

LARGEST_OBJECT = 5 << 40
"""Bytes of the largest object that every server takes: 5 TiB."""


def part_size_for(size: int, most_parts: int = MOST_PARTS) -> int:
    """Return the part size in bytes for a raw file of `size` bytes: 8 MiB, doubled until `most_parts` are enough."""
    return ChunksizeAdjuster(max_parts=most_parts).adjust_chunksize(SMALLEST_PART, size)


def parts_in_flight(size: int, part_size: int | None = None) -> int:
    """Return how many parts of one file may be in flight: 16 MiB or 3 % of it, whichever is more; one at least."""
    return max(1, max(16 * MIB, size * 3 // 100) // (part_size or part_size_for(size)))
