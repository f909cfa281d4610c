"""The two kinds of ends of a migration, looked at by the oracle."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import oracle

A_DAY = 86_400.0
"""In seconds."""

Expected = Mapping[oracle.RawFileName, oracle.OnDisk]


@dataclass(frozen=True)
class AtS3:
    """Buckets: `prefix` is the one bucket's name, or that of all of them up to the last hyphen."""

    client: Any
    naming: oracle.Naming
    prefix: str

    def state(self) -> dict[oracle.RawFileName, tuple[int, str]]:
        return {name: tuple(seen) for name, seen in oracle.s3_state(self.client, self.naming).items()}

    def looked_over(self, sizes: dict[oracle.RawFileName, int]) -> tuple[int, list[oracle.RawFileName]]:
        """How many raw files arrived, and which of them have another size than they should."""
        found = oracle.s3_listing(self.client, self.naming)
        return len(found), [name for name, (size, _) in found.items() if size != sizes.get(name)]

    def others(self, expected: Expected) -> list[str]:
        """Every object beyond one for each raw file, whatever its key."""
        one = isinstance(self.naming, oracle.Single)
        wanted = {
            (self.prefix, f"{owner}/{raw_id}") if one else (f"{self.prefix}-{owner}", raw_id)
            for owner, raw_id in expected
        }
        there = [(bucket, key) for bucket in self._buckets() for key in oracle.keys(self.client, bucket)]
        return [f"{bucket}/{key}" for bucket, key in there if (bucket, key) not in wanted]

    def temporaries(self) -> list[str]:
        return []

    def uploads(self) -> list[str]:
        """Keys of unfinished uploads that a migration left.

        One without parts does not count where the server dates it long ago (moto: in 2010): the program has to take it for another's.
        """
        return [
            upload["Key"]
            for bucket in self._buckets()
            for upload in oracle.unfinished_uploads(self.client, bucket)
            if time.time() - upload["Initiated"].timestamp() < A_DAY or self._has_parts(bucket, upload)
        ]

    def _has_parts(self, bucket: str, upload: Mapping[str, Any]) -> bool:
        listed = self.client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return bool(listed.get("Parts"))

    def remove(self) -> None:
        for bucket in self._buckets():
            for key in oracle.keys(self.client, bucket):
                self.client.delete_object(Bucket=bucket, Key=key)
            self.client.delete_bucket(Bucket=bucket)

    def _buckets(self) -> list[str]:
        return [
            name
            for name in oracle.buckets(self.client, self.prefix)
            if name == self.prefix or name[len(self.prefix)] == "-"
        ]


@dataclass(frozen=True)
class AtDisk:
    """A data folder."""

    root: Path

    def state(self) -> dict[oracle.RawFileName, tuple[int, str]]:
        return {name: (seen.size, seen.sha256) for name, seen in oracle.disk_state(self.root).items()}

    def looked_over(self, sizes: dict[oracle.RawFileName, int]) -> tuple[int, list[oracle.RawFileName]]:
        """How many raw files arrived, and which of them have another size than they should."""
        found = oracle.disk_paths(self.root)
        return len(found), [name for name, path in found.items() if os.stat(path).st_size != sizes.get(name)]

    def others(self, expected: Expected) -> list[str]:
        return [repr(name) for name in oracle.disk_paths(self.root).keys() - expected.keys()]

    def temporaries(self) -> list[str]:
        raw_files = {os.path.relpath(path, self.root) for path in oracle.disk_paths(self.root).values()}
        there = {
            os.path.relpath(os.path.join(folder, name), self.root)
            for folder, _, names in os.walk(self.root)
            for name in names
        }
        return sorted(there - raw_files)

    def uploads(self) -> list[str]:
        return []


def held(expected: Expected, end: AtS3 | AtDisk) -> dict[str, list[str]]:
    """What is there now against what should be, content and all: names of what is lost, torn, too much, or left behind."""
    found = end.state()
    return {
        "lost": [repr(name) for name in expected.keys() - found.keys()],
        "torn": [repr(name) for name, seen in found.items() if name in expected and seen != expected[name][:2]],
        "duplicates": end.others(expected),
        "temporaries": end.temporaries(),
        "uploads": end.uploads(),
    }
