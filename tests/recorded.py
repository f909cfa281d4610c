"""What Bytes would have in its database and at its location: raw files of every kind that an audit tells apart."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests import corpus
from tests.postgres import Row, secure_hash_of

BYTES_KEYS = (bytes(range(32)), bytes(range(1, 33)))
"""Private keys of the two sides of a NaCl box."""


@dataclass(frozen=True)
class Saved:
    """A raw file as Bytes saved it: its content, and what it recorded of it."""

    row: Row
    content: bytes

    @property
    def name(self) -> tuple[str, str]:
        return self.row.organization, self.row.raw_id


def saved(counts: Mapping[str, int], *, seed: int = 0) -> list[Saved]:
    """Raw files of these organizations: both algorithms, several time zones, every third time a whole second; some empty."""
    generator = random.Random(seed)
    made = []
    for organization, count in counts.items():
        for number in range(count):
            content = b"" if number % 7 == 3 else generator.randbytes(generator.randrange(1, 3000))
            zone = timezone(timedelta(minutes=generator.choice((0, 60, -210, 345))))
            microsecond = 0 if number % 3 == 0 else generator.randrange(1_000_000)
            ended_at = datetime.fromtimestamp(generator.randrange(1_500_000_000, 1_760_000_000), zone)
            ended_at = ended_at.replace(microsecond=microsecond)
            digest = secure_hash_of(content, ended_at, ("sha512", "sha224")[number % 2])
            made.append(Saved(Row(organization, corpus.new_raw_id(generator), digest, ended_at), content))
    return made


def without_hash(one: Saved) -> Saved:
    return replace(one, row=replace(one.row, secure_hash=None))


def save(root: Path, files: Iterable[Saved], *, boxed: bool = False) -> None:
    """Put them where Bytes would, in NaCl boxes if it encrypts."""
    for one in files:
        corpus.add_raw_file(root, one.row.organization, box(one.content) if boxed else one.content, one.row.raw_id)


def path_of(root: Path, one: Saved) -> Path:
    return root / one.row.organization / one.row.raw_id[:3] / one.row.raw_id


def box(content: bytes) -> bytes:
    """What Bytes' NaclBoxMiddleware writes."""
    from nacl.public import Box, PrivateKey

    private, other = (PrivateKey(key) for key in BYTES_KEYS)
    return bytes(Box(private, other.public_key).encrypt(content))


def box_settings(keys: Sequence[bytes] = BYTES_KEYS) -> dict[str, str]:
    """Bytes' settings for such boxes."""
    from nacl.public import PrivateKey

    private, other = (PrivateKey(key) for key in keys)
    return {
        "BYTES_ENCRYPTION_MIDDLEWARE": "NACL_SEALBOX",
        "BYTES_PRIVATE_KEY_B64": base64.b64encode(bytes(private)).decode(),
        "BYTES_PUBLIC_KEY_B64": base64.b64encode(bytes(other.public_key)).decode(),
    }
