"""Words for the ends of a migration, as an operator would type them, and short looks at what the command answers."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import corpus, oracle
from tests.conftest import FreshNames
from tests.plain_s3 import plain_way_of

MIGRATE = ("migrate", "--yes", "--json")
PLAN = ("plan", "--json")
LARGE = 17 * corpus.MIB
"""Over 16 MiB, from where on raw files go in parts: three of up to 8 MiB."""


def single(names: FreshNames) -> oracle.Single:
    return oracle.Single(names.bucket)


def per_organization(names: FreshNames) -> oracle.PerOrganization:
    return oracle.PerOrganization(names.prefix)


def template(naming: oracle.Naming) -> str:
    """The location as ``--from`` and ``--to`` take it."""
    if isinstance(naming, oracle.Single):
        return f"s3://{naming.bucket}/{{organization}}"
    return f"s3://{naming.prefix}{{organization}}"


def settings(naming: oracle.Naming) -> dict[str, str]:
    """The location as Bytes' settings say it."""
    if isinstance(naming, oracle.Single):
        return {"S3_BUCKET": naming.bucket, "BUCKET_PER_ORG": "false"}
    return {"S3_BUCKET_PREFIX": naming.prefix, "BUCKET_PER_ORG": "true"}


def bucket_of(naming: oracle.Naming, organization: str) -> str:
    return naming.bucket if isinstance(naming, oracle.Single) else f"{naming.prefix}{organization}"


def key_of(naming: oracle.Naming, organization: str, raw_id: str) -> str:
    return f"{organization}/{raw_id}" if isinstance(naming, oracle.Single) else raw_id


def put(client: Any, naming: oracle.Naming, organization: str, raw_id: str, content: bytes) -> None:
    """What Bytes, or somebody else, put there; its bucket is made."""
    put_many(client, naming, {(organization, raw_id): content})


def put_many(client: Any, naming: oracle.Naming, contents: Mapping[oracle.RawFileName, bytes]) -> None:
    """As `put`, many of them."""
    for organization in {name for name, _ in contents}:
        make_bucket(client, bucket_of(naming, organization))
    with plain_way_of(client) as plain:
        for name, content in contents.items():
            bucket, key = bucket_of(naming, name[0]), key_of(naming, *name)
            if plain is not None and len(content) < LARGE:
                plain.put(bucket, key, content)
            else:
                client.put_object(Bucket=bucket, Key=key, Body=content)


def make_bucket(client: Any, bucket: str) -> None:
    with plain_way_of(client) as plain:
        is_there = plain.has_bucket(bucket) if plain is not None else bucket in oracle.buckets(client)
    if not is_there:
        client.create_bucket(Bucket=bucket)


def write_env_file(path: Path, *layers: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{name}={value}\n" for layer in layers for name, value in layer.items()))
    return path


def make_varied_store(root: Path, organizations: Mapping[str, int], *, seed: int = 0, large: int = 0) -> corpus.Store:
    """Sizes from nothing to some dozens of kB, every tenth file or so empty, and `large` ones of 17 MiB."""
    return corpus.make_store(root, organizations, seed=seed, sizes=_varied, large=[LARGE] * large)


def _varied(generator: random.Random) -> int:
    return 0 if generator.random() < 0.1 else int(generator.expovariate(1 / 8000))


def files(document: Mapping[str, Any]) -> dict[str, int]:
    """The totals in files, without those that are 0."""
    return {name: count["files"] for name, count in document["totals"].items() if count["files"]}


def row(document: Mapping[str, Any], organization: str) -> dict[str, int]:
    found = next(row for row in document["organizations"] if row["organization"] == organization)
    counts = {name: value["files"] for name, value in found.items() if isinstance(value, dict)}
    return {name: count for name, count in counts.items() if count}


def problems(document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [problem for problem in document["problems"] if problem["kind"] == kind]


def findings(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in document["findings"]}


def everything_below(root: Path) -> set[str]:
    """Every file, whatever its name, relative to the root."""
    return {os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names}


def sizes_below(root: Path) -> dict[str, int]:
    """The size of every file, for polls of a running command: what is gone again between listing and looking is left out."""
    sizes = {}
    for name in everything_below(root):
        with contextlib.suppress(FileNotFoundError):
            sizes[name] = (root / name).stat().st_size
    return sizes


def raw_file_paths(root: Path) -> set[str]:
    return {os.path.relpath(path, root) for path in oracle.disk_paths(root).values()}
