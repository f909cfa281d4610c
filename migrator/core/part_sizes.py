"""Part sizes: what S3 allows, what this tool uses, and what other tools used before it."""

from __future__ import annotations

MIB = 1 << 20

WHOLE_UP_TO = 16 * MIB
"""Raw files up to this size go in one request; larger ones in parts."""

SMALLEST_PART = 8 * MIB
SMALLEST_OF_S3 = 5 * MIB
"""What every part but the last must have, the same source."""
MOST_PARTS = 10_000
"""S3's limit on the number of parts (AWS, "Amazon S3 multipart upload limits")."""

LARGEST_PART = 1 << 30
"""Bytes of the largest part that is sent: some of them are in memory at once."""

LARGEST_OBJECT = 5 << 40
"""S3's limit on the size of an object that every server knows: 5 TiB."""

PART_SIZES_IN_USE = tuple(
    size * MIB for size in (8, 5, 15, 16, 10, 25, 50, 64, 100, 6, 7, 12, 20, 24, 32, 40, 48, 128, 200, 256, 512, 1024)
)
"""Part sizes of aws-cli and boto3 (8 MiB), rclone (5), s5cmd (50), MinIO's client (16), s3cmd (15) and others, in bytes."""


def part_size_for(size: int, most_parts: int = MOST_PARTS) -> int:
    """The part size for a raw file of `size` bytes: 8 MiB, doubled until `most_parts` are enough."""
    part_size = SMALLEST_PART
    while part_size * most_parts < size:
        part_size *= 2
    return part_size


def parts_in_flight(size: int, part_size: int | None = None) -> int:
    """How many parts of one file may be under way: 16 MiB or 3 % of it, whichever is more; one at least."""
    return max(1, max(16 * MIB, size * 3 // 100) // (part_size or part_size_for(size)))
