"""A bare loop for one large object: one signed GET, MD5 beside it, written and synced. What a proven, durable download has to spend.

``python -m tests.bench.large_loop URL BUCKET KEY FOLDER``. It retries nothing, resumes nothing, and gives no name at the end.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
from pathlib import Path

from migrator.core.parallel_calls import BehindThread
from migrator.stores.s3.http.curl import SHA256_OF_NOTHING
from migrator.stores.s3.http.signing import Keys, Signer
from tests.bench.servers import ACCESS_KEY, SECRET_KEY

PART = 8 << 20


def run(url: str, bucket: str, key: str, folder: Path) -> str:
    """Receive the object into two buffers by turns; return its MD5."""
    host, path = url.partition("://")[2], f"/{bucket}/{key}"
    lines = Signer(lambda: Keys(ACCESS_KEY, SECRET_KEY, None), "us-east-1").headers(
        "GET", host, path, payload=SHA256_OF_NOTHING, more={}
    )
    connection = http.client.HTTPConnection(host)
    connection.request("GET", path, headers=dict(line.split(": ", 1) for line in lines))
    answer, md5, hashing = connection.getresponse(), hashlib.md5(usedforsecurity=False), BehindThread("hash")
    buffers, begin = [memoryview(bytearray(PART)), memoryview(bytearray(PART))], 0
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "object", os.O_WRONLY | os.O_CREAT, 0o600)
    while length := _filled(answer, buffers[0]):
        hashing.wait()  # the other buffer is free from here on
        hashing.submit(md5.update, buffers[0][:length])
        os.pwrite(descriptor, buffers[0][:length], begin)
        os.posix_fadvise(descriptor, begin, length, os.POSIX_FADV_DONTNEED)  # begins to write it back
        begin, buffers = begin + length, buffers[::-1]
    hashing.wait()
    os.fdatasync(descriptor)
    return md5.hexdigest()


def _filled(answer: http.client.HTTPResponse, buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer) and (length := answer.readinto(buffer[filled:])):
        filled += length
    return filled


if __name__ == "__main__":
    _, url, bucket, key, folder = sys.argv
    print(run(url, bucket, key, Path(folder)))
