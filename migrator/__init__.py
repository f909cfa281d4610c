"""Moves the raw files of OpenKAT's Bytes between disk and S3 so that nothing becomes inaccessible."""

__version__ = "0.1.0"
