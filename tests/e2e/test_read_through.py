"""Reading through: a real nginx before SeaweedFS and rclone serves from the data folder what S3 does not have yet, and nothing else."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import shutil
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from migrator.core.naming import BucketPerOrganization, SingleBucket
from migrator.core.read_through_header import HEADER
from migrator.doctor.nginx_lines import DataFolder, nginx_lines
from tests import command, oracle
from tests.conftest import FreshNames
from tests.dialects.scene import run
from tests.e2e import ends
from tests.nginx import nginx_before
from tests.servers import S3Server, Servers, free_ports

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") or shutil.which("/usr/sbin/nginx")),
    reason="nginx is not installed (Debian: nginx-light)",
)


class Scene:
    """A data folder, an S3 server, and nginx before it that reads through to the folder."""

    def __init__(self, server: S3Server, names: FreshNames, folder: Path, *, per_organization: bool = False) -> None:
        self.server, self.data, self._folder = server, folder / "data folder", folder
        self.port = free_ports(1)[0]
        if per_organization:
            self.naming: SingleBucket | BucketPerOrganization = BucketPerOrganization(f"{names.prefix}x-")
        else:
            self.naming = SingleBucket(names.bucket)
        for organization in ("acme", "b1"):
            ends.make_bucket(server.client(), self.naming.bucket_of(organization))

    def lines(self, *organizations: str) -> tuple[str, ...]:
        reads = DataFolder(root=self.data, naming=self.naming, organizations=organizations or ("acme",))
        return nginx_lines(self.server.endpoint_url, listen=f"127.0.0.1:{self.port}", reads=reads)

    @contextlib.contextmanager
    def running(self) -> Iterator[S3Server]:
        with nginx_before(self.server, self.lines(), self.port, self._folder / "nginx") as through:
            yield through

    def save(self, organization: str = "acme", content: bytes = b"on disk") -> str:
        """Save a raw file as Bytes does, where everybody may read it."""
        raw_id = str(uuid.uuid4())
        path = self.data / organization / raw_id[:3] / raw_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return raw_id

    def at(self, organization: str, raw_id: str) -> dict[str, str]:
        prefix = "" if isinstance(self.naming, BucketPerOrganization) else f"{organization}/"
        return {"Bucket": self.naming.bucket_of(organization), "Key": f"{prefix}{raw_id}"}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that nginx' workers, who are not root, can get to; pytest closes its own to others at the start of each session."""
    with tempfile.TemporaryDirectory(prefix="read-through-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def answer_of(call: Any, **arguments: Any) -> tuple[int, str | None, Any]:
    """Status, our header and the whole answer, or the error's code, of a client's call."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        told = error.response["ResponseMetadata"]
        return told["HTTPStatusCode"], told["HTTPHeaders"].get(HEADER.lower()), error.response["Error"]["Code"]
    told = answer["ResponseMetadata"]
    return told["HTTPStatusCode"], told["HTTPHeaders"].get(HEADER.lower()), answer


@pytest.mark.parametrize("per_organization", [False, True])
@pytest.mark.parametrize("kind", ["weed", "rclone"])
def test_what_s3_has_not_is_read_from_disk_and_all_else_is_s3s_own_answer(
    kind: str, per_organization: bool, servers: Servers, fresh_names: FreshNames, open_folder: Path
) -> None:
    scene = Scene(servers.get(kind), fresh_names, open_folder, per_organization=per_organization)
    on_disk, empty, at_both, nowhere = scene.save(), scene.save(content=b""), scene.save(), str(uuid.uuid4())
    direct = scene.server.client()
    direct.put_object(**scene.at("acme", at_both), Body=b"on S3")
    with scene.running() as through:
        client = through.client()
        for raw_id, content, source in (
            (on_disk, b"on disk", "from-disk"),
            (empty, b"", "from-disk"),
            (at_both, b"on S3", "read-through"),
        ):
            place = scene.at("acme", raw_id)
            assert answer_of(client.create_bucket, Bucket=place["Bucket"])[0] == 200
            status, header, answer = answer_of(client.get_object, **place)
            assert (status, header, answer["Body"].read()) == (200, source, content)
            status, header, answer = answer_of(client.head_object, **place)
            assert (status, header, answer["ContentLength"]) == (200, source, len(content))
        client.put_object(**scene.at("acme", nowhere), Body=b"saved by Bytes")
        assert client.get_object(**scene.at("acme", nowhere))["Body"].read() == b"saved by Bytes"
        place, absent = scene.at("acme", on_disk), scene.at("acme", str(uuid.uuid4()))
        link = scene.save()
        path = scene.data / "acme" / link[:3] / link
        path.unlink()
        path.symlink_to(scene.data / "acme" / on_disk[:3] / on_disk)
        linked_folder = "fff" + link[3:]
        (scene.data / "acme" / "fff").symlink_to(path.parent)
        path.with_name(linked_folder).write_bytes(b"behind a link")
        shallow, as_folder, pipe = str(uuid.uuid4()), str(uuid.uuid4()), str(uuid.uuid4())
        (scene.data / "acme" / shallow).write_bytes(b"without its index folder")
        (scene.data / "acme" / as_folder[:3] / as_folder).mkdir(parents=True)
        (scene.data / "acme" / pipe[:3]).mkdir(exist_ok=True)
        os.mkfifo(scene.data / "acme" / pipe[:3] / pipe)
        upper = {**place, "Key": place["Key"].replace(on_disk, on_disk.upper())}
        unnamed = scene.at("b1", scene.save("b1")) if per_organization else {**place, "Key": on_disk}
        for call, arguments in (
            ("get_object", absent),
            ("head_object", absent),
            ("get_object", {**place, "Range": "bytes=0-1"}),
            ("head_object", {**place, "Range": "bytes=0-1"}),
            ("get_object", {**place, "IfMatch": '"d41d8cd98f00b204e9800998ecf8427e"'}),
            ("get_object", {**place, "VersionId": "null"}),
            ("head_object", {**place, "PartNumber": 1}),
            ("get_object_tagging", place),
            ("list_parts", {**place, "UploadId": "0" * 32}),
            ("copy_object", {**absent, "CopySource": absent}),
            ("get_object", scene.at("acme", link)),
            ("get_object", scene.at("acme", linked_folder)),
            ("get_object", scene.at("acme", shallow)),
            ("get_object", scene.at("acme", as_folder)),
            ("get_object", scene.at("acme", pipe)),
            ("get_object", upper),
            ("get_object", unnamed),
            ("get_object", {**place, "Bucket": f"{fresh_names.prefix}none"}),
        ):
            expected = answer_of(getattr(direct, call), **arguments)
            status, header, answer = answer_of(getattr(client, call), **arguments)
            assert (status, header) == (expected[0], "read-through"), (call, arguments)
            assert status >= 300 or call == "get_object_tagging", (call, arguments)
            assert isinstance(answer, dict) or answer == expected[2], (call, arguments)
        stranger = _status(through.endpoint_url, f"/{place['Bucket']}/{place['Key']}")
        assert stranger in (400, 401, 403), "without a signature S3 itself refuses"


def _status(url: str, target: str, method: str = "GET") -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    with contextlib.closing(connection):
        connection.request(method, target)
        return connection.getresponse().status


def test_organizations_of_any_script_are_read_from_disk(
    weed: S3Server, fresh_names: FreshNames, open_folder: Path
) -> None:
    scene = Scene(weed, fresh_names, open_folder)
    with scene.running() as through:
        for organization in ("gemeente-éé", "組織", "a_b-1", "9"):
            place = scene.at(organization, scene.save(organization, organization.encode()))
            assert through.client().get_object(**place)["Body"].read() == organization.encode()
        raw_id = scene.save()
        for target in (
            f"/{fresh_names.bucket}//acme/{raw_id}",
            f"/{fresh_names.bucket}/x/../acme/{raw_id}",
            f"/{fresh_names.bucket}/%61cme/{raw_id}",
            f"/{fresh_names.bucket}/acme/{raw_id}?",
            f"/{fresh_names.bucket}/..%2f..%2facme/{raw_id}",
        ):
            assert _status(through.endpoint_url, target) in (400, 403, 404), target


class Reader(threading.Thread):
    """Reads random raw files as Bytes does, without pause: its create-bucket call, then GET; what it could not read, and what was wrong."""

    def __init__(self, client: Any, scene: Scene, contents: dict[tuple[str, str], bytes]) -> None:
        super().__init__(daemon=True)
        self._client, self._scene, self._contents = client, scene, contents
        self._is_over = threading.Event()
        self.unreadable: list[str] = []
        self.wrong: list[str] = []
        self.sources: Counter[str] = Counter()

    def run(self) -> None:
        chance, names = random.Random(7), sorted(self._contents)
        while not self._is_over.is_set():
            organization, raw_id = chance.choice(names)
            place = self._scene.at(organization, raw_id)
            try:
                self._client.create_bucket(Bucket=place["Bucket"])
                answer = self._client.get_object(**place)
                content = answer["Body"].read()
            except Exception as error:
                self.unreadable.append(f"{raw_id}: {error}")
                continue
            self.sources[answer["ResponseMetadata"]["HTTPHeaders"][HEADER.lower()]] += 1
            if content != self._contents[organization, raw_id]:
                self.wrong.append(raw_id)

    def wait_for(self, source: str, more: int) -> None:
        """Wait until so many more raw files came from there, or something went wrong."""
        enough = self.sources[source] + more
        while self.sources[source] < enough and self.is_alive() and not self.unreadable:
            self.join(0.01)

    def end(self) -> None:
        self._is_over.set()
        self.join(60)


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("weed", 500),
        pytest.param("rclone", 500, marks=pytest.mark.slow),
        pytest.param("weed", 10_000, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_unreadable_from_before_the_switch_to_after_the_last_copy(
    kind: str,
    files: int,
    servers: Servers,
    fresh_names: FreshNames,
    open_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(servers.get(kind), fresh_names, open_folder)
    chance = random.Random(3)
    contents = {}
    for number in range(files):
        organization, content = ("acme", "b1")[number % 2], chance.randbytes(chance.randrange(3000))
        contents[organization, scene.save(organization, content)] = content
    with scene.running() as through:
        for name, value in {**through.env(), **ends.settings(ends.single(fresh_names))}.items():
            monkeypatch.setenv(name, value)
        words = ("--json", "--from", str(scene.data), "--to", "s3")
        reader = Reader(through.client(), scene, contents)
        reader.start()
        reader.wait_for("from-disk", 20)
        done = command.run(*ends.MIGRATE, *words[1:], env=dict(os.environ)).expect(0).json()
        reader.wait_for("read-through", 20)
        reader.end()
        assert (reader.unreadable[:3], reader.wrong[:3]) == ([], [])
        assert ends.files(done) == {"discovered": files, "copied": files}
        lost = next(iter(contents))
        scene.server.client().delete_object(**scene.at(*lost))
        assert through.client().get_object(**scene.at(*lost))["Body"].read() == contents[lost], "Bytes reads it on disk"
        proven = run("verify", *words, "--level", "content")
        assert proven.status == 1
        assert proven.outcomes()["proven"] == files - 1
        looked = run("prune", *words, "--yes")
        assert looked.status == 1
        assert looked.outcomes() == {"deletable": files - 1, "kept": 1}
        assert "read-through" in looked.names()
        ended = run("prune", *words, "--confirm", str(files - 1))
        assert ended.status == 3
        assert ended.document["error"]["name"] == "read-through"
    assert len(oracle.disk_paths(scene.data)) == files
