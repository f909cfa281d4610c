"""The files that are moved: made once, kept for the next time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.corpus import Sizes, make_store

GIB = 1 << 30
SHARES = {"alpha": 0.5, "bravo": 0.3, "charlie": 0.15, "delta": 0.05}
"""No name begins with another: SeaweedFS lists ``a-2/`` after ``a/``, which juicefs takes for a broken listing."""


@dataclass(frozen=True)
class Corpus:
    name: str
    folder: Path
    files: int
    bytes: int


class Corpora:
    """Corpora below one folder, by what they hold."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say

    def small(self, files: int) -> Corpus:
        """Sizes as raw files have them: lognormal, median 8 KiB."""
        return self._made(f"small-{files}", _spread(files), "lognormal")

    def empty(self, files: int) -> Corpus:
        return self._made(f"empty-{files}", _spread(files), "empty")

    def large(self, size: int) -> Corpus:
        return self._made(f"large-{size >> 20}m", {"alpha": 0}, "empty", large=(size,))

    def _made(self, name: str, organizations: dict[str, int], sizes: Sizes, large: tuple[int, ...] = ()) -> Corpus:
        folder, mark = self._folder / name, self._folder / f"{name}.made"
        if not mark.exists():
            self._say(f"making the corpus {name}")
            shutil.rmtree(folder, ignore_errors=True)
            store = make_store(folder, organizations, sizes=sizes, large=large)
            mark.write_text(f"{store.files} {store.bytes}")
        count, size = mark.read_text().split()
        return Corpus(name, folder, int(count), int(size))


def _spread(files: int) -> dict[str, int]:
    counts = {organization: int(files * share) for organization, share in SHARES.items()}
    counts["alpha"] += files - sum(counts.values())
    return counts
