"""Locations opened for work: on disk, on S3, and in memory for tests and laws."""
