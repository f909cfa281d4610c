"""The runbook, and the policies: filled in for what is here, and with nothing in them that does not parse or should not be shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from migrator.app.runbook import guessed_deployment
from migrator.cli.main import cli
from migrator.core.errors import SettingsError
from migrator.doctor.policy import PURPOSES
from tests import command, corpus
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.servers import Servers

pytestmark = pytest.mark.one_process

NEW = {"S3_BUCKET": "openkat-raw", "BUCKET_PER_ORG": "false", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
KEYS = {"AWS_ACCESS_KEY_ID": "AKX", "AWS_SECRET_ACCESS_KEY": "NeverToBePrintedAtAll"}


def commands_in(text: str) -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("bytes-migrator ")]


@pytest.mark.parametrize("deployment", ["debian", "compose", "kubernetes"])
@pytest.mark.parametrize("kind", ["weed", "rclone", "moto", ""])
def test_every_command_in_it_parses_and_nginx_is_there_where_it_is_needed(
    deployment: str, kind: str, servers: Servers, naming: object, data: Path, tmp_path: Path
) -> None:
    corpus.make_store(data, {"alpha": 3, "b1": 2})
    server = servers.get(kind).env() if kind else {}
    path = ends.write_env_file(tmp_path / "new.env", NEW, KEYS, server, ends.settings(naming))  # type: ignore[arg-type]
    words = ("runbook", "--from", data, "--to", path, "--deployment", deployment, "--bytes-version", "1.21")
    text = command.run(*words, env={"BYTES_MIGRATOR_FORCE": None}).expect(0).stdout
    found = commands_in(text)
    assert {line[1] for line in found} >= {"doctor", "plan", "migrate"}
    for line in found:
        cli.commands[line[1]].make_context(line[1], line[2:]).close()
    assert ("```nginx" in text) == (kind in ("weed", "rclone"))
    assert ("http://127.0.0.1:8334" in text) == ("```nginx" in text)
    for step in (
        "Copy while Bytes runs",
        "Stop Bytes",
        "Copy the rest",
        "Verify",
        "new settings",
        "Start Bytes",
        "Read through Bytes",
    ):
        assert step in text
    assert "The way back" in text
    assert "1.21" in text
    assert {"debian": "systemctl", "compose": "docker compose", "kubernetes": "kubectl"}[deployment] in text
    assert f"BYTES_DATA_DIR={data}" in text


def test_the_way_back_has_a_runbook_too(data: Path, tmp_path: Path) -> None:
    path = ends.write_env_file(tmp_path / "old.env", NEW, KEYS)
    text = command.run("runbook", "--from", path, "--to", data, "--deployment", "debian").expect(0).stdout
    assert f"BYTES_DATA_DIR={data}" in text
    assert "--probe" not in text


def test_the_deployment_is_guessed_or_asked_for(tmp_path: Path) -> None:
    here, debian = str(tmp_path), str(tmp_path / "bytes.conf")
    with pytest.raises(SettingsError):
        guessed_deployment({}, here, (debian,))
    (tmp_path / "compose.yaml").write_text("")
    assert guessed_deployment({}, here, (debian,)) == "compose"
    (tmp_path / "bytes.conf").write_text("")
    assert guessed_deployment({}, here, (debian,)) == "debian"
    assert guessed_deployment({"KUBERNETES_SERVICE_HOST": "x"}, here, (debian,)) == "kubernetes"


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_policy_names_these_buckets_and_no_others(
    purpose: str, naming: object, fresh_names: FreshNames, data: Path
) -> None:
    corpus.make_store(data, {"alpha": 3, "b1": 2})
    env = {**KEYS, **NEW, **ends.settings(naming), "BYTES_DATA_DIR": str(data)}  # type: ignore[arg-type]
    if "S3_BUCKET_PREFIX" in env:
        del env["S3_BUCKET"]
    document = command.run("iam-policy", "--for", purpose, "--to", "s3", env=env).expect(0).json()
    resources = {resource for one in document["Statement"] for resource in one["Resource"]} - {"*"}
    assert resources
    assert all(
        re.fullmatch(rf"arn:aws:s3:::({fresh_names.bucket}|{fresh_names.prefix})[^ ]*", one) for one in resources
    )
    actions = {action for one in document["Statement"] for action in one["Action"]}
    writes = {"s3:PutObject", "s3:CreateBucket"}
    assert (actions & writes == writes) == (purpose in ("migrate", "bytes"))
    assert "s3:DeleteBucket" not in actions
    deletes = [one["Resource"] for one in document["Statement"] if "s3:DeleteObject" in one["Action"]]
    own = ("/.bytes-migrator-probe/*", "/.bytes-migrator-lock/*")  # the target's raw files are never deleted
    assert all(resource.endswith(own) for one in deletes for resource in one)


def test_a_policy_for_bytes_needs_no_other_end_than_the_target(tmp_path: Path) -> None:
    """As the example in its help has it."""
    (tmp_path / "new.env").write_text("S3_BUCKET=raw\nBUCKET_PER_ORG=false\n")
    document = command.run("iam-policy", "--for", "bytes", "--to", tmp_path / "new.env", env=KEYS).expect(0).json()
    resources = {resource for one in document["Statement"] for resource in one["Resource"]}
    assert resources <= {"*", "arn:aws:s3:::raw", "arn:aws:s3:::raw/*"}


def test_a_policy_without_an_end_on_s3_is_an_error(data: Path, tmp_path: Path) -> None:
    words = ("iam-policy", "--for", "migrate", "--from", data, "--to", tmp_path / "other")
    command.run(*words).expect(2)
