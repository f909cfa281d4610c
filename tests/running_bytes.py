"""A small service that answers as a running Bytes does, with what a test puts into it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests import as_bytes
from tests.oracle import RawFileName

USERNAME, PASSWORD = "bytes-user", "NeverToBePrinted-api & + é"


@dataclass
class RunningBytes:
    """`contents` by raw id, `statuses` for those that it refuses, `broken` for those at which it breaks off.

    With `place`, it reads the raw files `names` there as Bytes does, at each request, and `contents` is not used: 404 for a raw file that
    is not on disk, 500 for whatever else Bytes cannot read. `token_uses`: for how many requests a token holds; None for all.
    `raws_status`: the answer to ``GET /bytes/raws``, which Bytes cannot do on S3.
    """

    contents: dict[str, bytes] = field(default_factory=dict)
    place: as_bytes.Place | None = None
    names: Sequence[RawFileName] = ()
    statuses: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    token_uses: int | None = None
    raws_status: int = 500
    url: str = ""
    tokens: int = 0
    uses: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        return {"BYTES_USERNAME": USERNAME, "BYTES_PASSWORD": PASSWORD}


@contextlib.contextmanager
def running_bytes(**what: Any) -> Iterator[RunningBytes]:
    """The service, on a free port."""
    state = RunningBytes(**what)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if self.path != "/token":
                return self._answer(404)
            if (form.get("username"), form.get("password")) != ([USERNAME], [PASSWORD]):
                return self._answer(401)
            state.tokens += 1
            state.uses = 0
            answer = {"access_token": f"token-{state.tokens}", "token_type": "bearer", "expires_at": "soon"}
            return self._answer(200, json.dumps(answer).encode())

        def do_GET(self) -> None:
            state.uses += 1
            is_over = state.token_uses is not None and state.uses > state.token_uses
            if is_over or self.headers["Authorization"] != f"Bearer token-{state.tokens}":
                return self._answer(401)
            if self.path.startswith("/bytes/raws?"):
                return self._answer(state.raws_status)
            folder, _, raw_id = self.path.rpartition("/")
            state.asked.append(raw_id)
            if folder != "/bytes/raw":
                return self._answer(404)
            if raw_id in state.broken:
                return self._answer(200, state.contents[raw_id], cut=True)
            if raw_id in state.statuses:
                return self._answer(state.statuses[raw_id])
            if state.place is not None:
                return self._answer(*_read(state.place, state.names, raw_id))
            if raw_id not in state.contents:
                return self._answer(404)
            return self._answer(200, state.contents[raw_id])

        def _answer(self, status: int, body: bytes = b"{}", *, cut: bool = False) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + cut))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def _read(place: as_bytes.Place, names: Sequence[RawFileName], raw_id: str) -> tuple[int, bytes]:
    """Status and body. The database names the organization of a raw id; without a row Bytes answers 404."""
    name = next((name for name in names if name[1] == raw_id), None)
    if name is None:
        return 404, b"{}"
    found = as_bytes.content(place, name)
    if isinstance(found, as_bytes.Refused):
        return (404 if found.name == "FileNotFoundError" else 500), b"{}"
    return 200, found
