"""File systems in files, and what of them had reached the medium at one instant: what a power cut leaves.

A loop device writes into its file what the file system has given out, and nothing else. A copy of the file is therefore the medium at
that instant; what was only in the page cache is not in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KINDS = ("ext4", "xfs", "btrfs")
IMAGE_BYTES = 320 << 20
HOLDER_BYTES = 16 << 30
COPIES = 50
UNMOUNT_SECONDS = 30.0
_CHECKS = {"ext4": ("e2fsck", "-fn"), "xfs": ("xfs_repair", "-n"), "btrfs": ("btrfs", "check", "--readonly")}


class Impossible(Exception):
    """Why this machine cannot do it, in words."""


@dataclass(frozen=True)
class Image:
    """A file with a file system of this kind."""

    file: Path
    kind: str

    @contextlib.contextmanager
    def mounted(self, at: Path) -> Iterator[None]:
        """Mounting replays the journal, as after a power cut."""
        at.mkdir(parents=True, exist_ok=True)
        words = ["-o", "loop,nouuid" if self.kind == "xfs" else "loop", "-t", self.kind]
        _run("mount", *words, self.file, at)
        try:
            yield
        finally:
            _unmount(at)
            _wait_until_let_go(self.file)

    def trouble(self) -> str:
        """What the file system's own check finds wrong; it is not mounted."""
        done = subprocess.run([*_CHECKS[self.kind], self.file], capture_output=True, text=True, check=False)
        return (
            "" if done.returncode == 0 else f"{' '.join(_CHECKS[self.kind])}: {done.stdout[-400:]}{done.stderr[-400:]}"
        )

    def as_it_is(self, to: Path) -> Image:
        """The medium at this instant. Whoever writes to it must be stopped, unless the folder's file system can clone files."""
        if not _cloned(self.file, to):
            for _ in range(COPIES):  # until nothing was written while it was read
                shutil.copyfile(self.file, to)
                if filecmp.cmp(self.file, to, shallow=False):
                    break
            else:
                raise Impossible("the image never stood still long enough to be copied")
        return Image(to, self.kind)


def made(file: Path, kind: str, size: int = IMAGE_BYTES) -> Image:
    with open(file, "wb") as image:
        image.truncate(size)
    _run(f"mkfs.{kind}", "-q", file)
    return Image(file, kind)


@contextlib.contextmanager
def holder(folder: Path) -> Iterator[Path]:
    """A folder for images that can be cloned in an instant, where XFS is at hand; else the folder itself."""
    if "xfs" not in kinds():
        yield folder
        return
    with made(folder / "holder", "xfs", HOLDER_BYTES).mounted(folder / "held"):
        yield folder / "held"


def kinds() -> tuple[str, ...]:
    """The kinds of file systems that can be made and mounted here."""
    known = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    return tuple(kind for kind in KINDS if kind in known and shutil.which(f"mkfs.{kind}"))


def why_not(folder: Path) -> str:
    """Why images cannot be mounted here; "" if they can."""
    if os.geteuid() != 0:
        return "mounting an image needs root"
    if not kinds():
        return f"none of {', '.join(f'mkfs.{kind}' for kind in KINDS)} with a kernel that knows the file system is here"
    try:
        with made(folder / "try", kinds()[0]).mounted(folder / "tried"):
            return ""
    except Impossible as impossible:
        return str(impossible)
    finally:
        (folder / "try").unlink(missing_ok=True)


def _unmount(at: Path) -> None:
    """Processes that were killed hold their files a moment longer."""
    until = time.monotonic() + UNMOUNT_SECONDS
    while True:
        try:
            _run("umount", at)
        except Impossible:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _wait_until_let_go(file: Path) -> None:
    """A mount namespace made meanwhile holds a copy of the mount, with all that is not written yet, until its last process ends."""
    until = time.monotonic() + UNMOUNT_SECONDS
    while _is_backing(file):
        if time.monotonic() > until:
            raise Impossible(f"{file} is unmounted here, and still mounted in a namespace of another process")
        time.sleep(0.05)


def _is_backing(file: Path) -> bool:
    for loop in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # let go meanwhile
            if loop.read_text().rstrip("\n") == str(file.resolve()):
                return True
    return False


_FICLONE = 0x40049409


def _cloned(file: Path, to: Path) -> bool:
    """Clone by reference: all of the file at one instant, whoever writes to it. False where the file system cannot."""
    with open(file, "rb") as old, open(to, "wb") as new:
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError:
            return False
        return True


def _run(*words: str | Path) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise Impossible(f"{words[0]} is not installed") from missing
    if done.returncode:
        raise Impossible(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
