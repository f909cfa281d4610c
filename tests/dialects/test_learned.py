"""What workers learn of a server in one run is reported by it, and known to the next: `migrate` and `watch` alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialects.rows import Row, answers
from tests.dialects.s3 import S3Server
from tests.dialects.scene import Scene, dialect_of, environment_of, run


@pytest.mark.parametrize("command", ["migrate", "watch"])
def test_what_a_run_learned_is_reported_and_kept(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = (answers("CopyObject UploadPartCopy", 501, "NotImplemented"),)
    row = Row(name="", met="", says="", does="", changes=changes, organizations=("acme", "b1"))
    scene = Scene(row, "across", tmp_path)
    until = ("--until-idle", "1s") if command == "watch" else ()
    ends = ("--from", "s3://old/{organization}", "--to", "s3://new/{organization}", "--json", "--engine", "local")
    with S3Server(scene.memory, dialect_of(changes)).running() as server:
        for name, value in environment_of(server).items():
            monkeypatch.setenv(name, str(value))
        first = run(command, *ends[:-2], "--yes", "--organization", "acme", *until)
        assert first.outcomes() in ({"copied": 3}, {"present": 3}), first
        assert "pass through this machine" in first.said
        assert "server-abilities" in first.names()
        tried = scene.memory.count("CopyObject", "UploadPartCopy")
        assert tried
        second = run("migrate", *ends, "--yes")
    assert second.outcomes() == {"copied": 3, "present": 3}, second
    assert "pass through this machine" in second.said
    assert scene.memory.count("CopyObject", "UploadPartCopy") == tried
