"""A bare loop of signed requests by libcurl, which checks nothing and stores nothing: what any client built on it has to spend.

``python -m tests.bench.request_loop URL BUCKET FOLDER`` reads each raw file of a folder from a bucket; with the name of a new bucket
behind, it has the server copy each to that. One process, 64 requests in flight.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pycurl

from migrator.stores.s3.http.curl import SHA256_OF_NOTHING
from migrator.stores.s3.http.curl_loop import CurlLoop
from migrator.stores.s3.http.signing import Keys, Signer
from tests.bench.servers import ACCESS_KEY, SECRET_KEY

IN_FLIGHT = 64


def keys_of(folder: Path) -> Iterator[str]:
    for path in folder.glob("*/*/*"):
        yield f"{path.parts[-3]}/{path.name}"


def run(url: str, bucket: str, folder: Path, new: str | None = None) -> int:
    """Send a request for each raw file; return how many were answered with 200."""
    loop, idle, sent, good = CurlLoop(IN_FLIGHT), list[Any](), 0, 0
    host, keys = url.partition("://")[2], keys_of(folder)
    signer = Signer(lambda: Keys(ACCESS_KEY, SECRET_KEY, None), "us-east-1")
    key: str | None = ""
    while key is not None or sent:
        while sent < IN_FLIGHT and (key := next(keys, None)) is not None:
            curl = idle.pop() if idle else _handle(new)
            path = f"/{new or bucket}/{key}"
            more = {"x-amz-copy-source": f"{bucket}/{key}"} if new else {}
            lines = signer.headers("PUT" if new else "GET", host, path, payload=SHA256_OF_NOTHING, more=more)
            curl.setopt(pycurl.URL, f"{url}{path}")
            curl.setopt(pycurl.HTTPHEADER, [*lines, "Content-Type:", "Expect:", "Accept:"])
            loop.add(curl)
            sent += 1
        for curl, _ in loop.wait(1.0):
            loop.remove(curl)
            idle.append(curl)
            sent -= 1
            good += curl.getinfo(pycurl.RESPONSE_CODE) == 200
    return good


def _handle(new: str | None) -> Any:
    curl = pycurl.Curl()
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.WRITEFUNCTION, len)
    if new:
        curl.setopt(pycurl.CUSTOMREQUEST, "PUT")
        curl.setopt(pycurl.POSTFIELDS, b"")
    return curl


if __name__ == "__main__":
    _, url, bucket, folder, *new = sys.argv
    print(run(url, bucket, Path(folder), *new))
