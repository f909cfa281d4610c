"""What the fake S3 server has in memory, and its answers to errors."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from tests.dialects.wire import Answer, Request


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: its content, its ETag without quotes, and the sizes of its parts, () for one that was put whole."""

    content: bytes
    etag: str
    parts: tuple[int, ...] = ()


@dataclass(slots=True)
class Upload:
    """A multipart upload that is under way."""

    bucket: str
    key: str
    parts: dict[int, tuple[bytes, str]] = field(default_factory=dict)


@dataclass(slots=True)
class Memory:
    """What the server has: objects by bucket and key, uploads by id, and every request that came, with the status that was answered."""

    buckets: dict[str, dict[str, Stored]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    asked: list[tuple[Request, int]] = field(default_factory=list)

    def put(self, bucket: str, key: str, content: bytes, part_size: int = 0) -> None:
        """Store an object as a client before us did, in parts of a size or whole; makes the bucket."""
        pieces = [content[at : at + part_size] for at in range(0, len(content), part_size)] if part_size else []
        self.buckets.setdefault(bucket, {})[key] = in_parts(pieces) if pieces else Stored(content, md5(content))

    def count(self, *operations: str, status: int = 0, key: str = "") -> int:
        """How many requests of these operations came (of all, without any), with this status, for this key."""
        return sum(
            (not operations or request.operation in operations) and status in (0, answered) and key in ("", request.key)
            for request, answered in self.asked
        )

    @property
    def operations(self) -> Counter[str]:
        return Counter(request.operation for request, _ in self.asked)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def in_parts(pieces: Sequence[bytes]) -> Stored:
    """What a multipart upload of these parts becomes."""
    digests = b"".join(hashlib.md5(piece).digest() for piece in pieces)
    return Stored(b"".join(pieces), f"{md5(digests)}-{len(pieces)}", tuple(map(len, pieces)))


def refused(status: int, code: str, message: str = "The server says no.", more: str = "") -> Answer:
    """An error as S3 answers it; `more` is XML beside code and message. A HEAD is answered without the body."""
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(message)}</Message>{more}'
        "<RequestId>R-DIALECTS</RequestId></Error>"
    )
    return Answer(status=status, headers={"Content-Type": "application/xml"}, body=text.encode())
