"""`audit` knows where raw files are; what Bytes can do there it knows by trying, by asking, or by an earlier look."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.running_bytes import running_bytes
from tests.servers import S3Server, Servers

pytestmark = pytest.mark.one_process

UNFORCED = {"BYTES_MIGRATOR_FORCE": None}
FORCED = {"BYTES_MIGRATOR_FORCE": "bytes-calls"}


@dataclass(frozen=True)
class Scene:
    """Raw files that are all at the target, and an export of their rows."""

    rows: Path
    env: Mapping[str, str | None]
    raw_ids: tuple[str, ...]

    def audit(self, *words: object, status: int) -> Any:
        return command.run("audit", "--json", "--database", self.rows, *words, env=self.env).expect(status).json()

    def said(self, *words: object) -> list[str]:
        return command.run("audit", "--database", self.rows, *words, env=self.env).stdout.splitlines()


@contextlib.contextmanager
def migrated(server: S3Server, names: FreshNames, data: Path, tmp_path: Path, **more: str | None) -> Iterator[Scene]:
    """Copied with Bytes' calls left out, so that nothing is known of them."""
    corpus.make_store(data, {"alpha": 4, "b1": 2})
    env = {**server.env(), **ends.settings(ends.per_organization(names)), "BYTES_DATA_DIR": str(data)}
    command.run(*ends.MIGRATE, "--to", "s3", env={**env, **FORCED}).expect(0)
    found = sorted(oracle.disk_paths(data))
    rows = tmp_path / "rows.csv"
    lines = [f"{raw_id},{organization},,\n" for organization, raw_id in found]
    rows.write_text("id,organization,secure_hash,ended_at\n" + "".join(lines))
    yield Scene(rows, {**env, **UNFORCED, **more}, tuple(raw_id for _, raw_id in found))


@pytest.fixture
def refusing(servers: Servers) -> S3Server:
    """It refuses to create a bucket that is there, so Bytes answers HTTP 500 to everything."""
    return servers.get("weed")


def test_where_bytes_calls_fail_no_raw_file_is_called_readable(
    refusing: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    with migrated(refusing, fresh_names, data, tmp_path) as scene:
        unknown = scene.audit(status=0)
        assert unknown["bytes_calls"]["state"] == "unknown"
        assert "not tried" in unknown["answer"]
        assert "can read 6" not in unknown["answer"]
        assert ends.findings(unknown)["bytes-calls"]["status"] == "warning"
        assert "--probe" in scene.said()[-1] + scene.said()[-2]
        tried = command.run("doctor", "--json", "--to", "s3", "--probe", "--yes", env=scene.env).expect(1).json()
        known = scene.audit(status=1)
        assert (known["bytes_calls"]["state"], known["bytes_calls"]["by"]) == ("fails", "ledger")
        assert known["bytes_calls"]["files_failing"] == 6
        assert "cannot read 6 of them" in known["answer"]
        assert "Found out on " in ends.findings(known)["bytes-calls"]["seen"]
        planned = command.run("plan", "--json", "--to", "s3", env=scene.env).expect(1).json()
        assert ends.findings(planned)["bytes-calls"]["status"] == "error"
        for document in (tried, planned):
            assert ends.findings(document)["bytes-raws"]["status"] == "warning"
        verified = command.run("verify", "--to", "s3", env=scene.env).expect(0).stdout.splitlines()
        assert "Bytes cannot read at the target until [bytes-calls] is fixed" in verified[-1]


def test_a_probe_of_its_own_finds_out_and_asks_first(
    refusing: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    with migrated(refusing, fresh_names, data, tmp_path) as scene:
        assert scene.audit("--probe", status=2)["error"]["name"] == "yes-missing"
        document = scene.audit("--probe", "--yes", status=1)
        assert (document["bytes_calls"]["state"], document["bytes_calls"]["by"]) == ("fails", "probe")
        assert not [key for key in oracle.keys(refusing.client(), f"{fresh_names.prefix}alpha") if "probe" in key]


def test_where_bytes_calls_work_it_says_since_when_and_for_this_key_and_region_only(
    moto: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    with migrated(moto, fresh_names, data, tmp_path) as scene:
        command.run("doctor", "--to", "s3", "--probe", "--yes", env=scene.env).expect(0)
        document = scene.audit(status=0)
        assert document["bytes_calls"]["state"] == "works"
        assert document["bytes_calls"]["found_out"]
        assert document["answer"].startswith("With these settings Bytes can read 6 of 6 raw files")
        for other in ({"AWS_DEFAULT_REGION": "eu-west-1"}, {"AWS_ACCESS_KEY_ID": "another"}):
            elsewhere = Scene(scene.rows, {**scene.env, **other}, scene.raw_ids)
            assert elsewhere.audit(status=0)["bytes_calls"]["state"] == "unknown"


def test_a_running_bytes_is_asked_for_what_it_cannot_do_on_s3(
    moto: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    with migrated(moto, fresh_names, data, tmp_path) as scene:
        contents = dict.fromkeys(scene.raw_ids, b"x")
        for status, told in ((500, True), (200, False)):
            with running_bytes(contents=contents, raws_status=status) as service:
                asking = Scene(scene.rows, {**scene.env, **service.env}, scene.raw_ids)
                document = asking.audit("--api", service.url, status=0)
            assert ("bytes-raws" in ends.findings(document)) is told
            assert "the running Bytes answered for all 6" in document["answer"]
