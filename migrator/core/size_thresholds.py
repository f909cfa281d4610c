"""Size classes of raw files, in bytes: how each is carried."""

from __future__ import annotations

MIB = 1 << 20

SMALL_UP_TO = MIB
"""Raw files up to this size are small: the fast lane carries them, and checks read them whole. Above it boto3's cost for each file
(1 to 2.7 ms of CPU) is small beside that of the bytes."""

WHOLE_UP_TO = 16 * MIB
"""Raw files up to this size go in one request; larger ones in parts."""

SMALLEST_PART = 8 * MIB
"""The part size of this program, doubled where a file would have too many parts: `stores/s3/part_sizes.py`. Also boto3's and aws-cli's."""

PART_SIZES_IN_USE = tuple(
    size * MIB for size in (8, 5, 15, 16, 10, 25, 50, 64, 100, 6, 7, 12, 20, 24, 32, 40, 48, 128, 200, 256, 512, 1024)
)
"""Part sizes of this program (8 MiB and its doubles), aws-cli and boto3 (8), rclone (5), s5cmd (50), MinIO's client (16), s3cmd (15)
and others."""
