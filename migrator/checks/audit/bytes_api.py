"""A running Bytes, asked over HTTP as OpenKAT's other services ask it: the proof that holds all of it together.

Source: ``bytes/auth.py`` and ``bytes/api/router.py`` of Bytes 1.18 to 1.20: ``POST /token`` with form fields, then ``GET
/bytes/raw/<id>`` with the token, which answers the decoded content.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from migrator.checks.audit.database_row import Recorded, RecordedDigest
from migrator.config.locations import Secret
from migrator.core.errors import CannotStart, SettingsError
from migrator.transfer.retry import ROUNDS

_SECONDS = 30.0
_CHUNK = 256 * 1024
_LARGEST_TOKEN_ANSWER = 64 * 1024
_NO_PASSWORD = Secret("")


class Reply(Enum):
    """How Bytes answered for one raw file.

    With the content that it recorded, with one that its row has no digest for, with another one, with an HTTP error, or not at all.
    """

    __hash__ = object.__hash__

    PROVEN = "proven"
    UNHASHED = "unhashed"
    ALTERED = "altered"
    REFUSED = "refused"
    SILENT = "silent"


class RawFileAnswer(NamedTuple):
    """One raw file that Bytes was asked for. `status` is HTTP's, 0 where there was no answer; `size` in bytes."""

    row: Recorded
    reply: Reply
    status: int
    size: int
    reason: str


class Served(NamedTuple):
    """What Bytes gave for a raw id: HTTP's status, 0 where it gave no whole answer; size in bytes and SHA-256 of the content."""

    status: int
    size: int
    sha256: str


class BytesApi:
    """A running Bytes. Used by one thread."""

    def __init__(
        self, url: str, username: str = "", password: Secret = _NO_PASSWORD, *, seconds: float = _SECONDS
    ) -> None:
        """Read the service's URL; `seconds` is the longest wait for each piece of an answer.

        Raises:
            SettingsError: If it is no URL of a service, or holds a login.
        """  # noqa: DOC501 made by _no_url
        try:
            parts, port = urlsplit(url), urlsplit(url).port
        except ValueError:  # brackets or a port that are none
            parts, port = urlsplit(""), -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query or parts.fragment:
            raise _no_url("It has the form http://host:8002, with a path if a proxy puts Bytes below one.")
        if parts.username is not None or parts.password is not None:
            raise _no_url("It holds a login: Bytes' own, BYTES_USERNAME and BYTES_PASSWORD, is used.")
        self.url = url.rstrip("/")
        self._host, self._port, self._path = parts.hostname, port, parts.path.rstrip("/")
        self._is_tls = parts.scheme == "https"
        self._username, self._password = username, password
        self._token = Secret("")
        self._seconds = seconds

    def health_status(self) -> int:
        """Return HTTP's status of ``GET /health``, which needs no login; 0 where there was no answer.

        Source: ``bytes/api/root.py`` of Bytes 1.18 to 1.20.
        """
        try:
            with self._request("GET", "/health", None, {}) as answer:
                return answer.status
        except (OSError, HTTPException):
            return 0

    def content_of(self, raw_id: str) -> Served:
        """Get one raw file, whatever its row says; every failure is an answer too. Raises CannotStart when the login fails."""
        served = self._content_of(raw_id)
        if served.status == 401:
            self.sign_in()
            served = self._content_of(raw_id)
        return served

    def _content_of(self, raw_id: str) -> Served:
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        digest, size = hashlib.sha256(), 0
        try:
            with self._request("GET", f"/bytes/raw/{raw_id}", None, headers) as answer:
                while data := answer.read(_CHUNK):
                    size += len(data)
                    digest.update(data)
                is_whole = not answer.length
                return Served(answer.status if is_whole else 0, size, digest.hexdigest())
        except (OSError, HTTPException):
            return Served(0, size, "")

    def sign_in(self) -> None:
        """Get a token, which holds for some minutes.

        Raises:
            CannotStart: If nothing answers, the login is refused, or what answers is not Bytes.
        """
        form = urlencode({"username": self._username, "password": self._password.reveal()})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            with self._request("POST", "/token", form, headers) as answer:
                status, body = answer.status, answer.read(_LARGEST_TOKEN_ANSWER)
        except (OSError, HTTPException) as error:
            raise CannotStart(
                "api-unreachable",
                f"There is no answer from Bytes at {self.url} ({_kind(error)}).",
                cure="Check --api: it is the URL that OpenKAT's other services have as BYTES_API.",
            ) from error
        if status in (400, 401, 403, 422):
            raise CannotStart(
                "api-denied",
                f"Bytes at {self.url} does not accept the login (HTTP {status}).",
                cure="Give BYTES_USERNAME and BYTES_PASSWORD as the running Bytes has them.",
            )
        self._token = Secret(_token_in(body) if status == 200 else "")
        if not self._token.reveal():
            raise CannotStart(
                "api-not-bytes",
                f"What answers at {self.url} is not Bytes: it gave no token (HTTP {status}).",
                cure="Check --api: it is the URL that OpenKAT's other services have as BYTES_API.",
            )

    def ask(self, row: Recorded) -> RawFileAnswer:
        """Get one raw file and hold what comes against its row; every failure is an answer too. Raises CannotStart when the login fails."""
        answer = self._ask(row)
        if answer.status == 401:  # tokens end after 15 minutes
            self.sign_in()
            answer = self._ask(row)
        return answer

    def _ask(self, row: Recorded) -> RawFileAnswer:
        kind = ""
        for _ in range(ROUNDS):
            try:
                headers = {"Authorization": f"Bearer {self._token.reveal()}"}
                with self._request("GET", f"/bytes/raw/{row.raw_id}", None, headers) as answer:
                    return _held_against(row, answer)
            except (OSError, HTTPException) as error:
                kind = _kind(error)
        return RawFileAnswer(row, Reply.SILENT, 0, 0, f"Bytes did not answer, or broke off ({kind})")

    def status_of_raws(self, raw_id: str) -> int:
        """HTTP's status of ``GET /bytes/raws`` for one raw file; 0 where there was no answer. The content is not read."""
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        try:
            with self._request("GET", f"/bytes/raws?raw_ids={raw_id}&limit=1", None, headers) as answer:
                return answer.status
        except (OSError, HTTPException):
            return 0

    @contextmanager
    def _request(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Iterator[HTTPResponse]:
        """One request on a connection of its own: proxies and time-outs of kept ones cannot be mistaken for Bytes' answer."""
        connection = (
            HTTPSConnection(self._host, self._port, timeout=self._seconds, context=ssl.create_default_context())
            if self._is_tls
            else HTTPConnection(self._host, self._port, timeout=self._seconds)
        )
        try:
            connection.request(method, self._path + path, body, {"Accept": "*/*", **headers})
            yield connection.getresponse()
        finally:
            connection.close()


def _held_against(row: Recorded, answer: HTTPResponse) -> RawFileAnswer:
    if answer.status != 200:
        return RawFileAnswer(row, Reply.REFUSED, answer.status, 0, f"Bytes answered HTTP {answer.status}")
    digest = RecordedDigest(row) if row.is_provable else None
    size = 0
    while data := answer.read(_CHUNK):
        size += len(data)
        if digest is not None:
            digest.update(data)
    if answer.length:  # http.client gives a short body without a word when it is read in pieces
        return RawFileAnswer(row, Reply.SILENT, answer.status, size, "Bytes broke off in the middle of the content")
    if digest is None:
        return RawFileAnswer(
            row, Reply.UNHASHED, answer.status, size, "Bytes answered; its row has no digest to hold it against"
        )
    if digest.matches():
        return RawFileAnswer(row, Reply.PROVEN, answer.status, size, "")
    return RawFileAnswer(row, Reply.ALTERED, answer.status, size, "Bytes answered something else than it recorded")


def _token_in(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    token = answer.get("access_token") if isinstance(answer, dict) else None
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else ""


def _kind(error: Exception) -> str:
    """The error in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"nothing came for {_SECONDS:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _no_url(why: str) -> SettingsError:
    return SettingsError(
        "api-invalid",
        "--api does not name a running Bytes.",
        why=why,
        cure="Write --api http://localhost:8002",
    )
