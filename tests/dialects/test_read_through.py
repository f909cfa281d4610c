"""Where read-through is offered, and where not: by what the server answers for missing raw files, and by nginx' rights in the folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from migrator.app.read_through import is_on, read_through_verdict
from migrator.config.locations import DiskLocation, Locations, S3Access, S3Location
from migrator.core.errors import SettingsError
from migrator.core.naming import SingleBucket
from migrator.core.read_through_header import HEADER
from migrator.doctor.nginx_lines import DataFolder, nginx_lines
from tests.dialects.rows import Change, Request, Row, answers, turns
from tests.dialects.s3 import S3Server
from tests.dialects.scene import Ended, Scene, dialect_of, environment_of, run

ROW = Row(name="", met="", says="", does="", organizations=("acme", "b1"))


def is_signed(request: Request) -> bool:
    return "authorization" in request.headers


class Case(NamedTuple):
    """A server, and what is said of it; "" where read-through is offered."""

    name: str
    changes: tuple[Change, ...]
    told: str = ""


STRANGERS = answers("GetObject", 403, "AccessDenied", when=lambda request: not is_signed(request))
CASES = [
    Case("as-s3", (STRANGERS,)),
    Case("one-is-missing", (STRANGERS, answers("HeadBucket", 404, "NoSuchBucket")), "do not exist yet: new"),
    Case("denied", (STRANGERS, answers("GetObject", 403, "AccessDenied")), "s3:ListBucket"),
    Case("open-to-all", (answers("GetObject", 404, "NoSuchKey"),), "without a signature"),
    Case("answers-200", (STRANGERS, answers("GetObject", 503, "SlowDown")), "does not answer 404"),
]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """In a folder that any user can get to: pytest's own is closed to others."""
    with tempfile.TemporaryDirectory(prefix="read-through-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Scene(ROW, "up", Path(name))


def asked(scene: Scene, changes: tuple[Change, ...], monkeypatch: pytest.MonkeyPatch, *words: str) -> Ended:
    data = next(iter(scene._data.parents)) / "data"
    with S3Server(scene.memory, dialect_of(changes)).running() as server:
        for name, value in environment_of(server).items():
            monkeypatch.setenv(name, str(value))
        return run(*words, "--from", str(data), "--to", "s3://new/{organization}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_offered_only_where_missing_is_told_to_bytes_and_not_to_strangers(
    case: Case, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = asked(scene, case.changes, monkeypatch, "doctor", "--read-through", "--nginx-user", "nobody", "--json")
    found = [one for one in looked.document["findings"] if one["name"] == "read-through"]
    assert [one["status"] for one in found] == ["error" if case.told else "pass", "pass"], found
    assert ("@disk" in (looked.document["nginx"] or "")) is not bool(case.told)
    book = asked(scene, case.changes, monkeypatch, "runbook", "--read-through", "--deployment", "debian")
    assert book.status == (3 if case.told else 0)
    assert case.told in book.said
    if not case.told:
        steps = [line.partition(". ")[2] for line in book.said.splitlines() if line.startswith("## ")]
        assert steps.index("Start Bytes") < steps.index("Copy while Bytes runs") < steps.index("End reading through")
        assert steps.index("Stop Bytes") < steps.index("Let nginx read the data folder")
        assert "location @disk" in book.said.partition("End reading through")[0]
        assert "location @disk" not in book.said.partition("End reading through")[2]


def test_folders_that_nginx_cannot_pass_are_found(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    data = scene._data
    for folder, _, files in os.walk(data):
        os.chmod(folder, 0o740)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o640)
    words = ("doctor", "--read-through", "--nginx-user", "nobody", "--json")
    [_, finding] = [
        one
        for one in asked(scene, (STRANGERS,), monkeypatch, *words).document["findings"]
        if one["name"] == "read-through"
    ]
    assert finding["status"] == "error"
    assert "6 of 6 raw files" in finding["seen"]
    assert f"setfacl -R -m u:nobody:rX {data}" in finding["cure"], (
        "the folder is root's, and nobody should be in root's group"
    )
    data.parent.chmod(0o700)
    [_, finding] = [
        one
        for one in asked(scene, (STRANGERS,), monkeypatch, *words).document["findings"]
        if one["name"] == "read-through"
    ]
    assert f"cannot pass {data.parent}" in finding["seen"]
    assert f"chmod o+x {data.parent}" in finding["cure"]


def test_no_other_direction_has_it(tmp_path: Path) -> None:
    ends = [DiskLocation(root=tmp_path / name, folder_mode=0o740, file_mode=0o640) for name in ("old", "new")]
    with pytest.raises(SettingsError) as raised:
        read_through_verdict(Locations(source=ends[0], target=ends[1], settings=(), findings=()))
    assert raised.value.name == "read-through-direction"
    assert is_on(ends) is None


@pytest.mark.parametrize("root", ["/data/$home", '/data/"x"', "/data/a\nb", "/data/\\", "data"])
def test_a_folder_that_nginx_cannot_be_told_is_refused(root: str) -> None:
    reads = DataFolder(root=Path(root), naming=SingleBucket("raw"))
    with pytest.raises(SettingsError) as raised:
        nginx_lines("http://s3", reads=reads)
    assert raised.value.name == "read-through-path"


def test_read_through_is_known_by_nginx_files_and_by_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    servers = tmp_path / "conf.d"
    servers.mkdir()
    reads = DataFolder(root=Path("/data"), naming=SingleBucket("raw"))
    (servers / "other.conf").write_text("\n".join(nginx_lines("http://s3")))
    with S3Server(scene.memory, dialect_of(())).running() as server:
        for name, value in environment_of(server).items():
            monkeypatch.setenv(name, str(value))
        location = S3Location(naming=SingleBucket("raw"), access=S3Access(endpoint_url=server.url))
        assert is_on([location], nginx=tmp_path) is None
        (servers / "bytes.conf").write_text("\n".join(nginx_lines("http://s3", reads=reads)))
        found = is_on([location], nginx=tmp_path)
        assert found is not None
        assert str(servers / "bytes.conf") in found.seen
    for value, is_so in (("read-through", True), ("from-disk", True), ("something", False)):
        marked = turns("*", lambda answer, value=value: answer.with_headers({HEADER: value}))
        with S3Server(scene.memory, dialect_of((marked,))).running() as server:
            location = S3Location(naming=SingleBucket("raw"), access=S3Access(endpoint_url=server.url))
            found = is_on([location], nginx=tmp_path / "none")
            assert (found is not None and server.url in found.seen) == is_so, value
