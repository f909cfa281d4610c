"""What Bytes' database says of a raw file, and the digest that Bytes recorded for it. Pure.

Source: ``bytes/timestamping/hashing.py:hash_data`` of Bytes 1.18 to 1.20, called by ``SQLMetaDataRepository.save_raw`` with the content as
it was before the encryption middleware and with ``boefje_meta.ended_at``, which is always aware there. It hashes the content, then
``str(ended_at.timestamp())``, and stores ``<algorithm>:<hexdigest>``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from migrator.core.entities import RawId

if TYPE_CHECKING:
    from hashlib import _Hash

ALGORITHMS = ("sha512:", "sha224:")
"""What ``BYTES_HASHING_ALGORITHM`` can be, as a digest begins with it; rows of both can lie side by side."""
ALGORITHM_LENGTH = 7
_MICROSECONDS = 1_000_000


class Recorded(NamedTuple):
    """A row of ``raw_file`` with the organization and the time of its ``boefje_meta``.

    `secure_hash` is None where Bytes recorded none; an audit that reads no contents is given no more than its algorithm. `ended_us` is
    ``ended_at`` in microseconds since the epoch, None where there is none; 0 may stand for it in an audit that needs no times.
    """

    organization: str
    raw_id: RawId
    secure_hash: str | None = None
    ended_us: int | None = None

    @property
    def is_hashed(self) -> bool:
        """Whether a digest is recorded that Bytes could have made."""
        return self.secure_hash is not None and self.secure_hash.startswith(ALGORITHMS)

    @property
    def is_provable(self) -> bool:
        """Whether a content can be compared with this row."""
        return self.is_hashed and self.ended_us is not None


class RecordedDigest:
    """The digest of a row, computed anew from a content that comes in pieces. Only for rows that are provable."""

    def __init__(self, row: Recorded) -> None:
        self._wanted = row.secure_hash or ""
        self._time = timestamp_text(row.ended_us or 0).encode("ascii")
        self._hash: _Hash = hashlib.sha512() if self._wanted.startswith("sha512:") else hashlib.sha224()
        self.update = self._hash.update

    def matches(self) -> bool:
        """Called once, after the last piece: whether the content is the one that Bytes recorded."""
        self._hash.update(self._time)
        return self._wanted[ALGORITHM_LENGTH:].lower() == self._hash.hexdigest()


def timestamp_text(ended_us: int) -> str:
    """``str(ended_at.timestamp())`` of that moment.

    Python divides the exact number of microseconds by a million, as ``datetime.timestamp`` of an aware time does, and so rounds once and
    alike: 1700000000.0 for a whole second, with as few digits as tell the float apart.
    """
    return str(ended_us / _MICROSECONDS)
