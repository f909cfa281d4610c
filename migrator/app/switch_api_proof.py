"""The proof by Bytes itself: what it gave before the switch, it has to give after it, byte for byte; and the newest raw files too."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from migrator.checks.audit.bytes_api import BytesApi, Served
from migrator.checks.audit.settings import IDENTITY, MIDDLEWARE
from migrator.config.env_file import Setting
from migrator.config.environment import layer_of
from migrator.core.entities import HEX_DIGITS, RawFile, Shard
from migrator.core.errors import CannotStart, MustStop, StoreError
from migrator.core.notices import ignore_notice
from migrator.core.protocols import Source
from migrator.transfer.retry import ROUNDS, asked_again

_SHARDS_DRAWN = 20
"""Shards that are looked at for a sample of one organization: with few raw files, most shards are empty."""
_CHUNK = 1024 * 1024
_AGAIN_SECONDS = 0.5


@dataclass(slots=True, kw_only=True)
class Baseline:
    """What Bytes gave before the switch: SHA-256 by raw file. `size` is how many it was asked for."""

    digests: dict[RawFile, str] = field(default_factory=dict)
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What Bytes gave after the switch. `unknown`: newest raw files that Bytes' database does not name."""

    old: int = 0
    newest: int = 0
    unknown: int = 0


def sampled(source: Source, organizations: Sequence[str], size: int, seed: str) -> list[RawFile]:
    """Return some raw files of each organization, about `size` in all, without listing everything. Raises StoreError."""
    generator = random.Random(seed)  # noqa: S311 a sample, no secret
    each = -(-size // max(1, len(organizations)))
    found: list[RawFile] = []
    for organization in organizations:
        length = source.shard_length(organization)
        prefixes = ["".join(generator.choices(HEX_DIGITS, k=length)) for _ in range(_SHARDS_DRAWN if length else 1)]
        ids: list[RawFile] = []
        for prefix in dict.fromkeys(prefixes):
            entries = source.scan(Shard(organization, prefix), ignore_notice)
            ids += [RawFile(organization, entry.raw_id) for entry in entries]
            if len(ids) >= each:
                break
        found += generator.sample(ids, min(each, len(ids)))
    return found


def baseline_of(api: BytesApi, sample: Sequence[RawFile], source: str) -> Baseline:
    """Ask the running Bytes for a sample of the source; return the digests of what it gave.

    Raises:
        CannotStart: If it gives none of it: it reads elsewhere.
    """
    found = Baseline(size=len(sample))
    for raw_file in sample:
        served = api.content_of(raw_file.raw_id)
        if served.status == 200:
            found.digests[raw_file] = served.sha256
    if sample and not found.digests:
        raise CannotStart(
            "switch-bytes-reads-elsewhere",
            f"The running Bytes at {api.url} gives none of {len(sample)} raw files that are at {source}.",
            why="It reads elsewhere, has another database, or cannot read.",
            cure="See Bytes' log, and check its settings. Bytes was not touched.",
        )
    return found


def content_served(api: BytesApi, raw_file: RawFile) -> Served:
    """Ask Bytes for a raw file; again where nothing or a server's error comes, since one broken connection takes no switch back.

    Raises CannotStart when the login fails.
    """
    return asked_again(
        lambda: api.content_of(raw_file.raw_id),
        is_final=lambda served: 0 < served.status < HTTPStatus.INTERNAL_SERVER_ERROR,
        pauses=(_AGAIN_SECONDS,) * (ROUNDS - 1),
    )


def prove(
    api: BytesApi,
    baseline: Baseline,
    newest: Sequence[RawFile],
    *,
    source: Source,
    compares: bool,
    to_s3: bool,
) -> Proven:
    """Ask Bytes, with its new settings, for all of these, and compare; the newest with the source where it `compares`.

    Raises:
        MustStop: If it does not give one as it was.
    """  # noqa: DOC501 made by not_given
    for raw_file, digest in baseline.digests.items():
        served = content_served(api, raw_file)
        if served.status != 200 or served.sha256 != digest:
            raise not_given(api, raw_file, served.status)
    unknown = 0
    for raw_file in newest:
        served = content_served(api, raw_file)
        if served.status == 404 and to_s3:  # on S3, 404 comes from Bytes' database alone: a missing object is 500
            unknown += 1
        elif served.status != 200 or (compares and served.sha256 != sha256_at(source, raw_file)):
            raise not_given(api, raw_file, served.status)
    return Proven(old=len(baseline.digests), newest=len(newest) - unknown, unknown=unknown)


def is_plain(settings: Sequence[Setting]) -> bool:
    """Return whether Bytes stores what it gives: with another middleware than the default one, it stores ciphertext."""
    middleware = layer_of(settings).get(MIDDLEWARE)
    return middleware is None or middleware.value == IDENTITY


def sha256_at(source: Source, raw_file: RawFile) -> str:
    """Return the SHA-256 of what lies there, "" where nothing does.

    Raises:
        MustStop: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        entry = source.stat(raw_file)
        if entry is None:
            return ""
        with source.open(raw_file, entry) as content:
            while data := content.read(_CHUNK):
                digest.update(data)
            content.finish()
    except StoreError as error:
        raise MustStop("switch-proof", error.what, why=error.why, cure=error.cure) from error
    return digest.hexdigest()


def not_given(api: BytesApi, raw_file: RawFile, status: int) -> MustStop:
    """Return the error for a raw file that Bytes does not give as it is."""
    said = f"HTTP {status}" if status not in (0, 200) else "another content" if status else "nothing"
    return MustStop(
        "switch-proof",
        f"With its new settings, Bytes gave {said} for the raw file {raw_file.raw_id} of {raw_file.organization}.",
        why=f"{api.url} was asked as OpenKAT asks, after all was copied and verified.",
        cure="See Bytes' log; `bytes-migrator doctor --probe` tries its calls.",
    )
