"""Reads raw files at both ends at this moment, whatever was proven before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from migrator.checks.content_proof import prove_content
from migrator.core.entities import RawFile
from migrator.core.errors import StoreError
from migrator.core.protocols import Source

_AT_ONCE = 8


def why_not_equal(raw_file: RawFile, source: Source, target: Source) -> str:
    """Read both ends at this moment; empty where they are equal."""
    try:
        here, there = source.stat(raw_file), target.stat(raw_file)
        if here is None or there is None:
            return f"it is not at the {'source' if here is None else 'target'}"
        proof = prove_content(raw_file, source, here, target, there)
    except StoreError as error:
        return error.what
    return "" if proof.is_proven else proof.reason


def read_both(raw_files: Sequence[RawFile], source: Source, target: Source) -> Iterator[tuple[RawFile, str]]:
    """Yield each raw file, in order, with why it is not equal; eight are read at a time."""

    def read(raw_file: RawFile) -> tuple[RawFile, str]:
        return raw_file, why_not_equal(raw_file, source, target)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="prove") as pool:
        yield from pool.map(read, raw_files)
