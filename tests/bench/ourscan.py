"""This program's scan of a data folder and nothing else, to set beside the bare loops: ``python -m tests.bench.ourscan FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from migrator.core.entities import Shard
from migrator.core.notices import Notice
from migrator.stores.disk.source import DiskSource


def scan(folder: Path) -> int:
    """The size of all raw files, ascending by organization and raw id."""
    source = DiskSource(folder)
    organizations = list(source.organizations(_not_expected))
    return sum(entry.size for name in organizations for entry in source.scan(Shard(name), _not_expected))


def _not_expected(notice: Notice) -> None:
    raise AssertionError(notice)


if __name__ == "__main__":
    scan(Path(sys.argv[1]))
