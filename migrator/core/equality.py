"""The one place that decides whether two contents are equal, and by which evidence.

Everything else asks here: both lanes, `verify`, `audit`, `prune` and what follows a switch. An ETag is a digest only where the server makes
it one: the MD5 of the content after a simple PUT, and ``<md5 of the parts' md5>-<number of parts>`` after a multipart upload. An ETag of
another form proves nothing, and nothing here takes it for a difference.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from migrator.core.entities import Entry, RawFile
from migrator.core.errors import SourceChanged
from migrator.core.protocols import Content, Reads
from migrator.core.size_thresholds import PART_SIZES_IN_USE

CHUNK = 1 << 20

_PLAIN = re.compile(r"[0-9a-f]{32}")
_OF_PARTS = re.compile(r"[0-9a-f]{32}-([1-9][0-9]{0,4})")


class ProofKind(Enum):
    """What a proof that two ends hold equal content relies on, the strongest first. Values are shown to operators."""

    BOTH_READ = "both ends read in full and compared byte for byte"
    AS_MANIFEST = "read in full: its SHA-256 is the manifest's"
    OF_CHECKSUM = "one end's content has the checksum that the other end stores"
    OF_MD5 = "one end's MD5 is the other end's ETag"
    OF_PARTS = "the other end's multipart ETag recomputed from one end's parts"
    SAME_ETAG = "both ends have the same ETag"


class Digest(Protocol):
    """A hash of `hashlib`, as far as it is fed."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""
        ...


def md5_of(data: bytes) -> str:
    """Return the MD5 of a whole content in lower-case hex, as S3 writes it in an ETag."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def has_md5(data: bytes, etag: str | None) -> bool:
    """Whether this whole content's MD5 is the ETag. False proves nothing: the ETag may be no MD5."""
    return md5_of(data) == etag


def confirms(etag: str | None, expected: str | None) -> bool:
    """Whether the ETag that a server tells is the expected one: a digest of what was sent, or that of our own copy."""
    return etag is not None and etag == expected


def has_sha256(data: bytes, evidence: str | None) -> bool:
    """Whether this whole content's SHA-256 is what a manifest's entry has in place of an ETag."""
    return sha256_as_etag(hashlib.sha256(data).hexdigest()) == evidence


def sha256_as_etag(digest: str) -> str:
    """Return what a manifest's entry has in place of an ETag, of a SHA-256 in hex."""
    return f"sha256 {digest}"


def share_digest(etag: str | None, other: str | None) -> bool:
    """Whether the ETags of both ends alone prove equal contents: they are the same, and of a form that is a digest."""
    return etag is not None and etag == other and (is_plain_md5(etag) or is_of_parts(etag))


def is_same_state(now: Entry | None, known: Entry) -> bool:
    """Whether an object is still the known one: it is there, with the same size and ETag."""
    return now is not None and (now.size, now.etag) == (known.size, known.etag)


def is_other_state(etag: str | None, known: Entry) -> bool:
    """Whether an ETag proves that an object is not the known one any more; False where one of both is not told."""
    return etag is not None and known.etag is not None and etag != known.etag


def is_plain_md5(etag: str | None) -> bool:
    """Whether the ETag has the form that a simple PUT's has."""
    return etag is not None and _PLAIN.fullmatch(etag) is not None


def has_parts_of(etag: str, size: int, part_size: int) -> bool:
    """Whether the ETag is that of as many parts as `size` bytes have at this part size."""
    match = _OF_PARTS.fullmatch(etag)
    return match is not None and part_size > 0 and int(match.group(1)) == -(-size // part_size)


class EtagCheck:
    """Holds content that streams through against an ETag, whatever part sizes it may have been made with."""

    def __init__(self, etag: str | None, size: int, part_size: int | None = None) -> None:
        """Begin; `part_size` is the one that is known, else all that are in use are tried."""
        self._etag = etag
        sizes = candidates(etag, size) if part_size is None else [part_size]
        self._candidates = [_PartsDigest(part_size) for part_size in sizes]
        self._whole = None if self._candidates else hashlib.md5(usedforsecurity=False)

    @property
    def only_part_size(self) -> int | None:
        """The one part size that the ETag can have been made with: whoever has the MD5 of such parts need not hash them here."""
        return self._candidates[0].part_size if len(self._candidates) == 1 else None

    def update(self, data: bytes | memoryview, md5: bytes | None = None) -> None:
        """Take the next bytes; `md5` is their digest, if they are one whole part of `only_part_size` (or the last)."""
        if self._whole is not None:
            self._whole.update(data)
        for candidate in self._candidates:
            if md5 is None:
                candidate.update(data)
            else:
                candidate.add(md5)

    @property
    def fingerprint(self) -> str:
        """Tells this content from any other of its size."""
        return self._whole.hexdigest() if self._whole is not None else self._candidates[0].etag()

    def matches(self) -> bool | None:
        """True: proven equal. False: proven different. None: the ETag does not tell."""
        if is_plain_md5(self._etag):
            return self._etag == self.fingerprint
        if any(candidate.etag() == self._etag for candidate in self._candidates):
            return True
        return None


class _PartsDigest:
    """The ETag that a multipart upload with one part size would have."""

    def __init__(self, part_size: int) -> None:
        self.part_size = part_size
        self._done: list[bytes] = []
        self._part = hashlib.md5(usedforsecurity=False)
        self._room = part_size

    def update(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            self._part.update(view[: self._room])
            taken = min(len(view), self._room)
            self._room -= taken
            view = view[taken:]
            if self._room == 0:
                self._done.append(self._part.digest())
                self._part = hashlib.md5(usedforsecurity=False)
                self._room = self.part_size

    def add(self, md5: bytes) -> None:
        self._done.append(md5)

    def etag(self) -> str:
        is_open = self._room < self.part_size or not self._done
        return etag_of_parts([*self._done, self._part.digest()] if is_open else self._done)


def etag_of_parts(digests: Sequence[bytes]) -> str:
    """The ETag of an object made of parts with these MD5 digests."""
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def is_of_parts(etag: str | None) -> bool:
    """Whether the ETag has the form that a multipart upload's has."""
    return _OF_PARTS.fullmatch(etag or "") is not None


def candidates(etag: str | None, size: int) -> list[int]:
    """Return the part sizes in use, in bytes, that cut `size` bytes into as many parts as the ETag says."""
    match = _OF_PARTS.fullmatch(etag or "")
    if match is None:
        return []
    parts = int(match.group(1))
    return [part_size for part_size in PART_SIZES_IN_USE if max(1, -(-size // part_size)) == parts]


def same_content(raw_file: RawFile, source: Reads, source_entry: Entry, target: Reads, target_entry: Entry) -> bool:
    """Whether both ends hold equal content; their sizes are equal already.

    Reads as little as a proof takes, and answers False only after comparing the contents themselves. Raises StoreError.
    """
    ours, theirs = source_entry.etag, target_entry.etag
    if share_digest(ours, theirs):
        return True
    if ours is None and theirs is not None and proves(source, raw_file, source_entry, theirs):
        return True
    if theirs is None and ours is not None and proves(target, raw_file, target_entry, ours):
        return True
    with source.open(raw_file, source_entry) as left, target.open(raw_file, target_entry) as right:
        if size_if_equal(left, right) is not None:
            left.finish()
            right.finish()
            return True
        refuse_changed(raw_file, source, left)
        refuse_changed(raw_file, target, right)
        return False


def beginning(
    raw_file: RawFile, source: Reads, source_entry: Entry, target: Reads, target_entry: Entry
) -> Entry | None:
    """The source as it was opened, if what the target has is a beginning of it and shorter; None if it is not. Raises StoreError."""
    size = target_entry.size
    if size >= source_entry.size:
        return None
    with source.open(raw_file, source_entry) as whole:
        if whole.entry.size <= size:
            return None
        if is_plain_md5(target_entry.etag) and _md5_of(whole, size) == target_entry.etag:
            return whole.entry
    with source.open(raw_file, source_entry) as whole, target.open(raw_file, target_entry) as copy:
        while there := copy.read(CHUNK):
            if whole.read(len(there)) != there:
                return None
        copy.finish()
        return whole.entry


def _md5_of(content: Content, size: int) -> str:
    """The digest of the first `size` bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    while size and (data := content.read(min(CHUNK, size))):
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()


def refuse_changed(raw_file: RawFile, store: Reads, content: Content) -> None:
    """Refuse to call contents different if the raw file changed while it was read.

    Raises:
        SourceChanged: If size, version or times are not those of what was opened.
    """
    now, then = store.stat(raw_file), content.entry
    if now is None or (now.size, now.version) != (then.size, then.version) or _was_touched(now, then):
        raise SourceChanged("source-changed", f"{store.describe(raw_file)} changed while it was compared.")


def _was_touched(now: Entry, then: Entry) -> bool:
    """On disk, where no ETag tells one state from another."""
    return then.etag is None and now.changed_ns != then.changed_ns


def proves(store: Reads, raw_file: RawFile, entry: Entry, etag: str) -> bool:
    """Whether the store's content has the other end's ETag."""
    if not (is_plain_md5(etag) or candidates(etag, entry.size)):
        return False
    check = EtagCheck(etag, entry.size)
    with store.open(raw_file, entry) as content:
        while data := content.read(CHUNK):
            check.update(data)
        content.finish()
    return check.matches() is True


def size_if_equal(left: Content, right: Content, *digests: Digest) -> int | None:
    """Read both to their ends and feed the digests; return the bytes that each has, None at the first difference. Raises StoreError."""
    size = 0
    while True:
        here, there = left.read(CHUNK), right.read(CHUNK)
        if here != there:
            return None
        if not here:
            return size
        size += len(here)
        for digest in digests:
            digest.update(here)
