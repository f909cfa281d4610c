"""Bare loops to compare with: ``python -m tests.bench.loops scan FOLDER`` and ``… md5 FOLDER``. Nothing is imported that is not needed."""

import hashlib
import os
import sys


def scan(folder: str) -> int:
    """The size of everything, by scandir and stat."""
    size = 0
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
    return size


def md5(folder: str) -> int:
    """The MD5 of everything, one file after the other."""
    count = 0
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    descriptor = os.open(entry.path, os.O_RDONLY)
                    content = os.read(descriptor, os.fstat(descriptor).st_size)
                    os.close(descriptor)
                    hashlib.md5(content, usedforsecurity=False).digest()
                    count += 1
    return count


if __name__ == "__main__":
    {"scan": scan, "md5": md5}[sys.argv[1]](sys.argv[2])
