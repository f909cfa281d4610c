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

MIGRATE = ("migrate", "--yes", "--json")
PLAN = ("plan", "--json")
LARGE = 20 * corpus.MIB
"""Over 16 MiB, from where on raw files go in parts."""


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
    bucket = bucket_of(naming, organization)
    make_bucket(client, bucket)
    client.put_object(Bucket=bucket, Key=key_of(naming, organization, raw_id), Body=content)


def make_bucket(client: Any, bucket: str) -> None:
    if bucket not in oracle.buckets(client):
        client.create_bucket(Bucket=bucket)


def write_env_file(path: Path, *layers: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{name}={value}\n" for layer in layers for name, value in layer.items()))
    return path


def make_varied_store(root: Path, organizations: Mapping[str, int], *, seed: int = 0, large: int = 0) -> corpus.Store:
    """Sizes from nothing to some dozens of kB, every tenth file or so empty, and `large` ones of 20 MiB."""
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
