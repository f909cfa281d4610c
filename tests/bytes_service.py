"""A stand-in for Bytes as a service, built from what is known of it alone: a program that reads an env file at its start.

::

    python -m tests.bytes_service STATE_FOLDER ENV_FILE PORT

It runs as uid 1000 where root starts it, saves and reads on disk as Bytes does (in place, not atomically) and on S3 with the create-bucket
call first, answers 500 where that fails, and has the token and raw routes. Its database is the folder STATE_FOLDER/rows: an empty file for
each raw id, named ``<id>`` with the organization as content. Nothing here imports the program under test.

``POST /save/<organization>`` saves the body as a new raw file and answers its id: what a boefje's output does in Bytes.
Files in STATE_FOLDER change it: ``unhealthy`` (503 to all); and with settings for S3 alone ``s3-unhealthy``, ``s3-answers-500`` and
``s3-ends-at-start``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

UID = 1000


def read_settings(path: Path) -> dict[str, str]:
    """As systemd and dotenv read plain lines alike; quotes around a whole value are taken off."""
    settings = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith(("#", ";")):
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            settings[name] = value[1:-1] if quoted else value
    return settings


class Place:
    """Where this Bytes keeps raw files, by its settings."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.root = Path(settings.get("BYTES_DATA_DIR", "/data"))
        self.bucket, self.prefix = settings.get("S3_BUCKET", ""), settings.get("S3_BUCKET_PREFIX", "")
        self.each = settings.get("BUCKET_PER_ORG", "true").lower() in ("true", "1", "yes", "on", "t", "y")
        self.on_s3 = bool(self.bucket or self.prefix)
        self.client: Any = None
        if self.on_s3:
            import boto3
            from botocore.config import Config

            self.client = boto3.session.Session(
                aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
                region_name=settings.get("AWS_DEFAULT_REGION"),
            ).client(
                "s3",
                endpoint_url=settings.get("AWS_ENDPOINT_URL"),
                config=Config(s3={"addressing_style": "path"}),  # five tries, as Bytes has by boto3's default
            )
            with contextlib.suppress(Exception):  # has boto3 load all that it needs
                self.client.get_object(Bucket="warm-up", Key="warm-up")

    def _key(self, organization: str, raw_id: str) -> tuple[str, str]:
        if self.each:
            return (self.prefix or "OpenKAT-") + organization, raw_id
        return self.bucket or "OpenKAT", f"{organization}/{raw_id}"

    def get(self, organization: str, raw_id: str) -> bytes | None:
        if not self.on_s3:
            try:
                return (self.root / organization / raw_id[:3] / raw_id).read_bytes()
            except FileNotFoundError:
                return None
        bucket, key = self._key(organization, raw_id)
        self.client.create_bucket(Bucket=bucket)
        content: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def save(self, organization: str, raw_id: str, content: bytes) -> None:
        if not self.on_s3:
            folder = self.root / organization / raw_id[:3]
            folder.mkdir(mode=0o740, parents=True, exist_ok=True)
            path = folder / raw_id
            path.write_bytes(content)
            path.chmod(0o640)
            return
        bucket, key = self._key(organization, raw_id)
        self.client.create_bucket(Bucket=bucket)
        self.client.put_object(Bucket=bucket, Key=key, Body=content)


def serve(state: Path, env_file: Path, port: int) -> None:
    settings = read_settings(env_file)  # as root, as systemd and Docker do
    place = Place(settings)
    (state / "rows").mkdir(exist_ok=True)
    if place.on_s3 and (state / "s3-ends-at-start").exists():
        sys.exit("bytes: settings are wrong")
    login = (settings.get("BYTES_USERNAME", ""), settings.get("BYTES_PASSWORD", ""))

    def is_unhealthy() -> bool:
        return (state / "unhealthy").exists() or (place.on_s3 and (state / "s3-unhealthy").exists())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if is_unhealthy():
                return self._answer(503)
            if self.path == "/token":
                form = parse_qs(body.decode())
                if (form.get("username"), form.get("password")) != ([login[0]], [login[1]]):
                    return self._answer(401)
                return self._answer(200, json.dumps({"access_token": "a-token", "token_type": "bearer"}).encode())
            organization = self.path.removeprefix("/save/")
            raw_id = str(uuid.uuid4())
            (state / "rows" / raw_id).write_text(organization)  # the row comes first, and stays
            try:
                place.save(organization, raw_id, body)
            except Exception as error:
                return self._fail(error)
            return self._answer(200, raw_id.encode())

        def do_GET(self) -> None:
            if is_unhealthy():
                return self._answer(503)
            if self.path == "/health":
                return self._answer(200, json.dumps({"service": "bytes", "healthy": True}).encode())
            if self.headers["Authorization"] != "Bearer a-token":
                return self._answer(401)
            raw_id = self.path.removeprefix("/bytes/raw/")
            row = state / "rows" / raw_id
            if place.on_s3 and (state / "s3-answers-500").exists():
                return self._answer(500)
            if not row.is_file():
                return self._answer(404)
            try:
                content = place.get(row.read_text(), raw_id)
            except Exception as error:
                return self._fail(error)
            return self._answer(404) if content is None else self._answer(200, content)

        def _fail(self, error: Exception) -> None:
            sys.stderr.write(f"{self.command} {self.path}: {error!r} at {time.time()}\n")
            self._answer(500)

        def _answer(self, status: int, body: bytes = b"{}") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        if os.geteuid() == 0:  # at last: what Python loads may lie where uid 1000 cannot read
            os.chown(state / "rows", UID, UID)
            os.setgroups([])
            os.setgid(UID)
            os.setuid(UID)
        server.daemon_threads = True

        def end(*_: object) -> None:
            """A second signal that came while Python waits for its threads would wait for a lock of its own."""
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, end)
        server.serve_forever(poll_interval=0.02)


if __name__ == "__main__":
    if "STAND_IN_STARTED" not in os.environ:  # its environment is what its env file says, as with systemd and Docker
        started = {**os.environ, **read_settings(Path(sys.argv[2])), "STAND_IN_STARTED": "1"}
        os.execve(sys.executable, [sys.executable, "-m", "tests.bytes_service", *sys.argv[1:]], started)
    with contextlib.suppress(KeyboardInterrupt):
        serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
