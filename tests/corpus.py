"""Sample stores in exactly the layout and with the modes of Bytes, the same for the same seed.

Also a program: ``python -m tests.corpus FOLDER --files 20000``.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE_MODE = 0o640
FOLDER_MODE = 0o740
KIB, MIB = 1024, 1024 * 1024

SHARES = {"alpha": 0.5, "alpha-2": 0.3, "b1": 0.15, "zaandam": 0.05}
"""Four organizations of unlike size. As keys, ``alpha-2/…`` sorts before ``alpha/…``; as folders it is the other way round."""

Sizes = str | int | Callable[[random.Random], int]


@dataclass(frozen=True)
class Store:
    """What was made: `organizations` with their number of files (large ones included), `large` as (organization, id, size)."""

    root: Path
    organizations: Mapping[str, int]
    files: int
    bytes: int
    large: tuple[tuple[str, str, int], ...] = ()


def make_store(
    root: str | os.PathLike[str],
    organizations: Mapping[str, int] | None = None,
    *,
    total: int | None = None,
    seed: int = 0,
    sizes: Sizes = "lognormal",
    large: Sequence[int] = (),
    age_seconds: float | None = None,
) -> Store:
    """Make raw files below `root`, which may exist already.

    `organizations` gives the number of files of each; `total` spreads a number over `SHARES`. `sizes` is "lognormal" (median 8 KiB, at most
    1 MiB), "empty", a number of bytes, or a function of the random generator. `large` adds one file of each size, the organizations in
    turn. `age_seconds` sets modification times back; nothing can set a change time back.
    """
    if (organizations is None) == (total is None):
        raise ValueError("give either organizations or total")
    counts = dict(organizations) if organizations is not None else _spread(total or 0)
    generator = random.Random(seed)
    size_of = _size_function(sizes)
    root = Path(root)
    written = 0
    big: list[tuple[str, str, int]] = []
    with _umask(0):
        root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for organization, count in counts.items():
            written += _fill(root / organization, count, generator, size_of)
        for number, size in enumerate(large):
            organization = list(counts)[number % len(counts)]
            raw_id = new_raw_id(generator)
            _write_large(root / organization, raw_id, size, generator)
            big.append((organization, raw_id, size))
            counts[organization] += 1
    if age_seconds is not None:
        _set_back(root, age_seconds)
    return Store(root, counts, sum(counts.values()), written + sum(large), tuple(big))


def add_raw_file(
    root: str | os.PathLike[str], organization: str, content: bytes = b"content", raw_id: str | None = None
) -> Path:
    """Save one raw file as Bytes would; a random id unless one is given."""
    raw_id = raw_id or new_raw_id(random.SystemRandom())
    folder = Path(root) / organization / raw_id[:3]
    with _umask(0):
        _make_folder(folder)
        _write(folder / raw_id, content)
    return folder / raw_id


def new_raw_id(generator: random.Random) -> str:
    """A UUID of version 4 in canonical text."""
    digits = f"{generator.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _spread(total: int) -> dict[str, int]:
    counts = {organization: int(total * share) for organization, share in SHARES.items()}
    counts["alpha"] += total - sum(counts.values())
    return counts


def _size_function(sizes: Sizes) -> Callable[[random.Random], int]:
    if callable(sizes):
        return sizes
    if isinstance(sizes, int):
        return lambda generator: sizes
    return {
        "empty": lambda generator: 0,
        "lognormal": lambda generator: min(MIB, int(generator.lognormvariate(math.log(8 * KIB), 1.0))),
    }[sizes]


def _fill(folder: Path, count: int, generator: random.Random, size_of: Callable[[random.Random], int]) -> int:
    _make_folder(folder)
    base, known, written = str(folder), set[str](), 0
    for _ in range(count):
        raw_id = new_raw_id(generator)
        index = raw_id[:3]
        if index not in known:
            with contextlib.suppress(FileExistsError):
                os.mkdir(f"{base}/{index}", FOLDER_MODE)
            known.add(index)
        size = size_of(generator)
        _write(f"{base}/{index}/{raw_id}", generator.randbytes(size))
        written += size
    return written


def _write(path: str | Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _write_large(folder: Path, raw_id: str, size: int, generator: random.Random) -> None:
    _make_folder(folder / raw_id[:3])
    path = folder / raw_id[:3] / raw_id
    _write(path, b"")
    with open(path, "r+b") as out:
        for offset in range(0, size, MIB):
            out.write(generator.randbytes(min(MIB, size - offset)))


def _make_folder(folder: Path) -> None:
    if not folder.parent.exists():
        _make_folder(folder.parent)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def _set_back(root: Path, seconds: float) -> None:
    for folder, _, names in os.walk(root, topdown=False):
        for path in [*(f"{folder}/{name}" for name in names), folder]:
            then = os.stat(path).st_mtime - seconds
            os.utime(path, (then, then))


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# --- strays ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stray:
    """Something that is no raw file. `path` relative to the root, as the file system's API decodes it.

    `level` says where a scan meets it: "root", "organization" (beside the index folders) or "index" (inside one).
    """

    kind: str
    path: str
    level: str


def add_strays(root: str | os.PathLike[str], organization: str = "alpha", seed: int = 1) -> list[Stray]:
    """Put one stray of each kind into the store. What links point to is made beside the root, and holds "raw files" too.

    The organization must have fewer than 4,000 index folders, for strays live in new ones.
    """
    root = Path(root)
    maker = _StrayMaker(root, organization, random.Random(seed))
    with _umask(0):
        _make_folder(root / organization)
        maker.inside_index_folders()
        maker.beside_index_folders()
        maker.at_the_top()
    return maker.made


class _StrayMaker:
    def __init__(self, root: Path, organization: str, generator: random.Random) -> None:
        self.made: list[Stray] = []
        self._root, self._organization, self._generator = root, organization, generator
        self._outside = root.parent / f"{root.name}-outside"

    def inside_index_folders(self) -> None:
        raw_id, folder = self._place()
        wrong = f"{self._organization}/{_other_index(folder.name)}"
        _make_folder(self._root / wrong)
        _write(self._root / wrong / raw_id, b"in a wrong index folder")
        self._tell("wrong index folder", f"{wrong}/{raw_id}", "index")
        self._file("upper-case id", lambda raw_id: raw_id.upper())
        self._file("id without hyphens", lambda raw_id: raw_id.replace("-", ""))
        self._file("id with a suffix", lambda raw_id: f"{raw_id}.bak")
        self._file("temporary file of another tool", lambda raw_id: f".{raw_id}.Xa81Zq")
        self._file("partial file of another tool", lambda raw_id: f"{raw_id}.part")
        self._file("desktop file", lambda raw_id: ".DS_Store")
        self._file("name with a newline", lambda raw_id: f"{raw_id}\n")
        self._file("name with an escape", lambda raw_id: f"{raw_id[:8]}\x1b[31m{raw_id[8:]}")
        self._file("name that is not UTF-8", lambda raw_id: f"{raw_id[:3]}{os.fsdecode(bytes([0xFF, 0xFE]))}")
        self._special("link to a file", lambda path: path.symlink_to(self._outside_file()))
        self._special("link to nothing", lambda path: path.symlink_to(self._outside / "nothing"))
        self._special("pipe", lambda path: os.mkfifo(path, FILE_MODE))
        self._special("socket", lambda path: os.mknod(path, stat.S_IFSOCK | FILE_MODE))
        self._special("folder named like a raw file", lambda path: path.mkdir(FOLDER_MODE))
        raw_id, folder = self._place()
        (folder / "nested").mkdir(FOLDER_MODE)
        _write(folder / "nested" / raw_id, b"too deep")
        self._tell("nested folder", f"{self._organization}/{folder.name}/nested", "index")

    def beside_index_folders(self) -> None:
        home = self._root / self._organization
        raw_id, folder = self._place()
        folder.rmdir()
        folder.symlink_to(self._outside / "nothing")
        self._tell("link to nothing as an index folder", f"{self._organization}/{folder.name}", "organization")
        _write(home / raw_id, b"not in an index folder")
        self._tell("raw id beside the index folders", f"{self._organization}/{raw_id}", "organization")
        _write(home / ".DS_Store", b"")
        self._tell("desktop file", f"{self._organization}/.DS_Store", "organization")
        for kind, name in {"folder that is no index": "backup", "upper-case index folder": "ABC"}.items():
            (home / name).mkdir(FOLDER_MODE)
            _write(home / name / f"abc{raw_id[3:]}", b"not below its index")
            self._tell(kind, f"{self._organization}/{name}", "organization")

    def at_the_top(self) -> None:
        for kind, name in {"file at the top": "README.txt", "desktop file": ".DS_Store"}.items():
            _write(self._root / name, b"not an organization")
            self._tell(kind, name, "root")
        (self._root / "linked").symlink_to(self._outside_file())
        self._tell("link to a file as an organization folder", "linked", "root")
        bad_names = {
            "folder that is no slug": "Not A Slug!",
            "upper-case organization folder": "ALPHA",
            "organization folder that is too long": "o" * 33,
            "organization folder with a newline": "two\nlines",
            "organization folder that is not UTF-8": os.fsdecode(b"caf\xe9"),
        }
        for kind, name in bad_names.items():
            raw_id = new_raw_id(self._generator)
            _make_folder(self._root / name / raw_id[:3])
            _write(self._root / name / raw_id[:3] / raw_id, b"of no organization")
            self._tell(kind, name, "root")

    def _file(self, kind: str, name_of: Callable[[str], str]) -> None:
        raw_id, folder = self._place()
        name = name_of(raw_id)
        _write(folder / name, b"stray")
        self._tell(kind, f"{self._organization}/{folder.name}/{name}", "index")

    def _special(self, kind: str, make: Callable[[Path], object]) -> None:
        raw_id, folder = self._place()
        make(folder / raw_id)
        self._tell(kind, f"{self._organization}/{folder.name}/{raw_id}", "index")

    def _place(self) -> tuple[str, Path]:
        """An unused raw id with its index folder, new and empty."""
        while True:
            raw_id = new_raw_id(self._generator)
            folder = self._root / self._organization / raw_id[:3]
            if not os.path.lexists(folder):
                folder.mkdir(FOLDER_MODE)
                return raw_id, folder

    def _outside_file(self, raw_id: str | None = None) -> Path:
        """What whoever follows a link takes for a raw file."""
        raw_id = raw_id or new_raw_id(self._generator)
        folder = self._outside / "data" / "alpha" / raw_id[:3]
        _make_folder(folder)
        _write(folder / raw_id, b"outside of the data folder")
        return folder / raw_id

    def _tell(self, kind: str, path: str, level: str) -> None:
        self.made.append(Stray(kind, path, level))


def _other_index(index: str) -> str:
    return f"{(int(index, 16) + 1) % 4096:03x}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a sample store in Bytes' layout.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", default="lognormal", choices=["lognormal", "empty"])
    parser.add_argument("--large", type=int, action="append", default=[], metavar="BYTES")
    parser.add_argument("--strays", action="store_true")
    options = parser.parse_args()
    store = make_store(options.folder, total=options.files, seed=options.seed, sizes=options.sizes, large=options.large)
    strays = add_strays(options.folder) if options.strays else []
    sys.stdout.write(f"{store.files} files, {store.bytes} bytes, {len(strays)} strays in {store.root}\n")


if __name__ == "__main__":
    main()
