"""Where Bytes' own calls are known to fail at the target, `prune` keeps the only copies that Bytes could go back to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialects.rows import Answer, Change, Request, Row, Serve, refused
from tests.dialects.s3 import S3Server
from tests.dialects.scene import Scene, dialect_of, environment_of, run


def refuses_a_second_create(request: Request, serve: Serve) -> Answer | None:
    """As SeaweedFS does."""
    return refused(409, "BucketAlreadyOwnedByYou") if request.bucket in serve.memory.buckets else None


def test_prune_refuses_where_bytes_calls_are_known_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = (Change("CreateBucket", refuses_a_second_create),)
    row = Row(name="", met="", says="", does="", changes=changes)
    scene = Scene(row, "up", tmp_path)
    data, log = tmp_path / "data", tmp_path / "log"
    ends = ("--from", str(data), "--to", "s3://new/{organization}", "--json")
    with S3Server(scene.memory, dialect_of(changes)).running() as server:
        bytes_settings = {"S3_BUCKET": "new", "BUCKET_PER_ORG": "false"}
        for name, value in {**environment_of(server), **bytes_settings}.items():
            monkeypatch.setenv(name, str(value))
        assert run("migrate", *ends, "--yes", "--engine", "local").outcomes() == {"copied": 3}
        monkeypatch.delenv("BYTES_MIGRATOR_FORCE")
        assert "bytes-calls" not in run("prune", *ends, "--yes").names(), "nobody has tried them yet"
        assert run("doctor", *ends, "--probe", "--yes").status == 1
        looked = run("prune", *ends, "--yes")
        assert looked.status == 0
        assert "bytes-calls" in looked.names()
        ended = run("prune", *ends, "--confirm", "3")
        assert ended.status == 3
        assert ended.document["error"]["name"] == "bytes-calls"
        assert len([path for path in data.rglob("*") if path.is_file()]) == 3
        for command, more in (("verify", ()), ("prune", ("--confirm", "3"))):
            log.unlink(missing_ok=True)
            run(command, *ends, *more, "--force", "bytes-calls", "--log-file", str(log))
            assert "forced [bytes-calls]" in log.read_text(), command
        assert not [path for path in data.rglob("*") if path.is_file()]
