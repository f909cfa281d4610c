"""Every finding that is made of what was seen: a case in which it fires, and one in which it does not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from migrator.config.env_file import Setting
from migrator.config.settings_checks import check_settings
from migrator.core.entities import RawFile, RawId
from migrator.core.errors import MustStop, Unavailable
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import Problem
from migrator.core.tally import Count
from migrator.doctor import finding_names
from migrator.doctor.bytes_calls import (
    CREATE,
    CREATE_AGAIN,
    GET,
    PUT,
    WAIT,
    BytesCall,
    Replay,
    calls_finding,
    untried_finding,
)
from migrator.doctor.bytes_user import NO_USER, BytesUser
from migrator.doctor.concurrent_runs import ledgers_finding, run_finding
from migrator.doctor.disk_checks import DiskSeen, Need, disk_findings
from migrator.doctor.nginx_lines import nginx_lines
from migrator.doctor.rights import Right, rights_finding
from migrator.doctor.server import (
    Quirks,
    ServerSeen,
    abilities_finding,
    foreign_finding,
    habit_findings,
    server_findings,
    version_finding,
)
from migrator.doctor.source import SourceSample, listing_errors, need_of, sample_of, source_findings
from migrator.stores.disk.preflight import inspect_disk
from tests.fakes import FailingStore, Schedule
from tests.memory_store import MemoryStore

PASS, WARNING, ERROR = FindingStatus.PASS, FindingStatus.WARNING, FindingStatus.ERROR
GOOD = ServerSeen(endpoint="http://s3", skew=0.0, latencies=(0.001,) * 20, versioning="", locked=False, encryption="")
DISK = DiskSeen(
    path="/data",
    exists=True,
    free_bytes=10**9,
    free_inodes=10**6,
    user=BytesUser(uid=1000, gid=1000, groups=frozenset((1000, 77))),
    owner=1000,
    group=1000,
    umask=0o022,
    file_system="ext4",
)
NEED = Need(files=1000, bytes=10**6, folders=100, exact=True)
FINE = tuple(BytesCall(name, 200) for name in (CREATE, WAIT, PUT, GET, CREATE_AGAIN))


def named(findings: Iterable[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def assert_told(finding: Finding, status: FindingStatus) -> None:
    assert finding.status is status
    assert finding.seen
    if status is not PASS:
        assert finding.why
    if status is ERROR:
        assert finding.cure
    assert finding.name in finding_names.FINDINGS


SERVER = [
    (finding_names.SERVER_REACHABLE, {}, PASS),
    (finding_names.SERVER_REACHABLE, {"trouble": Unavailable("unreachable", "It is away.")}, ERROR),
    (finding_names.CLOCK, {}, PASS),
    (finding_names.CLOCK, {"skew": None}, WARNING),
    (finding_names.CLOCK, {"skew": -100.0}, WARNING),
    (finding_names.CLOCK, {"skew": 1000.0}, ERROR),
    (finding_names.LATENCY, {}, PASS),
    (finding_names.LATENCY, {"latencies": (0.001,) * 9 + (0.5,) * 11}, WARNING),
    (finding_names.ADDRESSING, {}, PASS),
    (finding_names.VERSIONING, {}, PASS),
    (finding_names.VERSIONING, {"versioning": "Enabled"}, WARNING),
    (finding_names.OBJECT_LOCK, {}, PASS),
    (finding_names.OBJECT_LOCK, {"locked": True}, WARNING),
    (finding_names.ENCRYPTION, {}, PASS),
    (finding_names.ENCRYPTION, {"encryption": "AES256"}, PASS),
    (finding_names.ENCRYPTION, {"encryption": "aws:kms"}, WARNING),
]


@pytest.mark.parametrize(("name", "change", "status"), SERVER)
def test_server(name: str, change: dict[str, object], status: FindingStatus) -> None:
    assert_told(named(server_findings(replace(GOOD, **change)), name), status)  # type: ignore[arg-type]


DISKS = [
    (finding_names.TARGET_FOLDER, {}, PASS),
    (finding_names.TARGET_FOLDER, {"trouble": "The folder / does not exist."}, ERROR),
    (finding_names.READ_ONLY, {}, PASS),
    (finding_names.READ_ONLY, {"read_only": True}, ERROR),
    (finding_names.DISK_SPACE, {}, PASS),
    (finding_names.DISK_SPACE, {"free_bytes": 1_049_999}, ERROR),
    (finding_names.DISK_SPACE, {"free_bytes": 1_050_001}, PASS),
    (finding_names.DISK_INODES, {}, PASS),
    (finding_names.DISK_INODES, {"free_inodes": 1154}, ERROR),
    (finding_names.DISK_INODES, {"free_inodes": 1155}, PASS),
    (finding_names.DISK_INODES, {"free_inodes": None}, PASS),
    (finding_names.SERVICE_USER, {}, PASS),
    (finding_names.SERVICE_USER, {"user": NO_USER, "owner": 0, "group": 0}, ERROR),
    (finding_names.SERVICE_USER, {"owner": 4321, "group": 4321}, ERROR),
    (finding_names.SERVICE_USER, {"owner": 4321, "group": 77}, ERROR),
    (finding_names.SERVICE_USER, {"owner": 4321, "group": 77, "folder_mode": 0o770}, PASS),
    (finding_names.SERVICE_USER, {"file_mode": 0o040}, ERROR),
    (finding_names.SERVICE_USER, {"folder_mode": 0o500}, ERROR),
    (finding_names.SERVICE_USER, {"user": BytesUser(uid=0), "owner": 0, "group": 0}, PASS),
    (finding_names.UMASK, {}, PASS),
    (finding_names.UMASK, {"umask": 0o277}, ERROR),
    (finding_names.FILE_SYSTEM, {}, PASS),
    (finding_names.FILE_SYSTEM, {"is_network": True, "file_system": "nfs4"}, WARNING),
    (finding_names.FILE_SYSTEM, {"ignores_case": True, "file_system": "vfat"}, WARNING),
    (finding_names.NAME_LENGTH, {}, PASS),
    (finding_names.NAME_LENGTH, {"longest_name": 64}, ERROR),
]


@pytest.mark.parametrize(("name", "change", "status"), DISKS)
def test_disk(name: str, change: dict[str, object], status: FindingStatus) -> None:
    assert_told(named(disk_findings(replace(DISK, **change), NEED), name), status)  # type: ignore[arg-type]


def test_a_folder_as_it_is(tmp_path: Path) -> None:
    seen = inspect_disk(tmp_path, folder_mode=0o740, file_mode=0o640)
    assert (seen.exists, seen.trouble, seen.read_only) == (True, "", False)
    assert seen.free_bytes > 0
    assert seen.longest_name >= 143
    current = os.umask(0o027)
    try:
        assert inspect_disk(tmp_path / "new", folder_mode=0o740, file_mode=0o640).umask == 0o027
    finally:
        os.umask(current)
    assert "does not exist" in inspect_disk(tmp_path / "no" / "such", folder_mode=0o740, file_mode=0o640).trouble
    (tmp_path / "file").write_text("")
    assert "no folder" in inspect_disk(tmp_path / "file", folder_mode=0o740, file_mode=0o640).trouble


def test_file_systems_by_their_mounts(tmp_path: Path) -> None:
    for kind, network, ignores in (("ext4", False, False), ("nfs4", True, False), ("vfat", False, True)):
        mounts = tmp_path / kind
        mounts.write_text(f"1 0 0:1 / / rw - {kind} none rw\n")
        seen = inspect_disk(tmp_path, folder_mode=0o740, file_mode=0o640, mountinfo=mounts)
        assert (seen.is_network, seen.ignores_case) == (network, ignores)


HABITS = [
    (finding_names.LISTING, Quirks(lists_in_byte_order=True), PASS),
    (finding_names.LISTING, Quirks(lists_in_byte_order=False), WARNING),
    (finding_names.MULTIPART, Quirks(has_part_minimum=True), PASS),
    (finding_names.MULTIPART, Quirks(has_part_minimum=False), WARNING),
]


@pytest.mark.parametrize(("name", "habits", "status"), HABITS)
def test_habits(name: str, habits: Quirks, status: FindingStatus) -> None:
    assert_told(named(habit_findings(habits), name), status)


def test_abilities() -> None:
    assert_told(abilities_finding([], Quirks(checks_checksums=True, returns_checksums=True)), PASS)
    assert_told(abilities_finding(["it ignores If-None-Match"], None), WARNING)
    assert_told(abilities_finding([], Quirks(checks_checksums=False)), WARNING)


def test_foreign_objects_rights_runs_ledgers_versions() -> None:
    assert_told(foreign_finding([], 10), PASS)
    assert_told(foreign_finding(["s3://b/x"], 10), WARNING)
    right = Right("s3:PutObject", "b/*", True)
    for name in (finding_names.RIGHTS_SOURCE, finding_names.RIGHTS_TARGET):
        assert_told(rights_finding(name, [right], "migrate"), PASS)
        assert_told(rights_finding(name, [right, right._replace(allowed=False)], "migrate"), ERROR)
    assert_told(run_finding("", is_running=False), PASS)
    assert_told(run_finding("20260101-000000-abcdef", is_running=False), WARNING)
    assert_told(run_finding("", is_running=True), WARNING)
    assert_told(ledgers_finding([]), PASS)
    assert_told(ledgers_finding(["a to b"]), WARNING)
    for version, status in (
        ("1.18", PASS),
        ("1.20.3", PASS),
        ("1.17.0", WARNING),
        ("1.21", WARNING),
        ("2.0rc1", WARNING),
    ):
        assert_told(version_finding(version.replace("rc1", "")), status)


CALLS = [
    (CREATE_AGAIN, 409, "BucketAlreadyOwnedByYou", "http://s3", "nginx"),
    (CREATE, 409, "BucketAlreadyExists", "http://s3", "nginx"),
    (CREATE_AGAIN, 409, "BucketAlreadyOwnedByYou", None, "us-east-1"),
    (CREATE, 403, "AccessDenied", "http://s3", "s3:CreateBucket"),
    (CREATE, 400, "InvalidBucketName", "http://s3", "S3_BUCKET_PREFIX"),
    (CREATE, 400, "IllegalLocationConstraintException", None, "AWS_DEFAULT_REGION"),
    (PUT, 411, "MissingContentLength", "https://s3", "AWS_REQUEST_CHECKSUM_CALCULATION"),
    (PUT, 403, "AccessDenied", "http://s3", "iam-policy --for bytes"),
    (GET, 500, "InternalError", "http://s3", "stay on disk"),
    (CREATE, 0, "unreachable", "http://s3", "stay on disk"),
]


@pytest.mark.parametrize(("name", "status", "code", "endpoint", "cure"), CALLS)
def test_bytes_calls(name: str, status: int, code: str, endpoint: str | None, cure: str) -> None:
    good = Replay(bucket="good", calls=FINE)
    bad = Replay(bucket="bad", calls=(*FINE[:1], BytesCall(name, status, code, "words")))
    assert_told(calls_finding([good], endpoint=endpoint), PASS)
    found = calls_finding([good, bad], endpoint=endpoint)
    assert_told(found, ERROR)
    assert cure in found.cure
    assert "--force bytes-calls" in found.cure
    assert "the bucket bad" in found.seen


@pytest.mark.parametrize("call", [BytesCall(CREATE, 409, "BucketAlreadyExists"), BytesCall(WAIT, 403, "403")])
def test_a_bucket_of_somebody_else_is_not_cured_by_a_proxy(call: BytesCall) -> None:
    found = calls_finding([Replay(bucket="theirs", calls=(call,), is_denied=True)], endpoint="http://s3")
    assert_told(found, ERROR)
    assert "somebody else" in found.why
    assert "nginx" not in found.cure
    assert "Choose another S3_BUCKET" in found.cure


def test_calls_that_were_not_tried_and_buckets_that_stay() -> None:
    assert_told(untried_finding(), WARNING)
    kept = calls_finding([Replay(bucket="fresh", calls=FINE, made=True)], endpoint=None)
    assert "left there" in kept.seen
    assert "fresh" in kept.seen


SOURCES = [
    (finding_names.EMPTY_FILES, {}, (), PASS),
    (finding_names.EMPTY_FILES, {"empty": ["a/1"]}, (), WARNING),
    (finding_names.SOURCE_IN_USE, {"newest": 900.0}, (), PASS),
    (finding_names.SOURCE_IN_USE, {"newest": 990.0}, (), WARNING),
    (finding_names.UNREADABLE_FOLDERS, {}, (), PASS),
    (finding_names.UNREADABLE_FOLDERS, {"unreadable": ["/data/a/123"]}, (), WARNING),
    (finding_names.LINKED_FOLDERS, {}, (), PASS),
    (finding_names.LINKED_FOLDERS, {"linked": ["/data/a/123"]}, (), WARNING),
    (
        finding_names.LINKED_FOLDERS,
        {},
        (Problem("unreadable-folder", "a", "/data/a", "", code="linked-folder"),),
        WARNING,
    ),
    (finding_names.ORGANIZATION_NAMES, {}, (), PASS),
    (
        finding_names.ORGANIZATION_NAMES,
        {},
        (Problem("stray", "", "/data/A", "not an organization's code (…)"),),
        WARNING,
    ),
    (finding_names.STRAYS, {}, (), PASS),
    (finding_names.STRAYS, {}, (Problem("stray", "", "/data/x.txt", "a file beside the organizations"),), WARNING),
    (finding_names.SOURCE, {}, (), PASS),
]


@pytest.mark.parametrize(("name", "change", "problems", "status"), SOURCES)
def test_source(name: str, change: dict[str, object], problems: tuple[Problem, ...], status: FindingStatus) -> None:
    sample = SourceSample(counts={"a": Count(1, 10)}, inspected=1)
    for field, value in change.items():
        setattr(sample, field, value)
    assert_told(named(source_findings(problems, sample, is_disk=True, now=1000.0), name), status)


def test_a_sample_extrapolates_from_the_first_thousand() -> None:
    store = MemoryStore()
    for number in range(3000):
        store.save(RawFile("alpha", RawId(f"{number * 21:04x}0000-0000-4000-8000-{number:012x}")), b"12345")
    store.save(RawFile("b1", RawId("00000000-0000-4000-8000-000000000000")), b"")
    sample = sample_of(store, ("alpha", "b1"), seconds=60)
    assert not sample.exact
    assert 2900 < sample.counts["alpha"].files < 3300
    assert sample.counts["b1"].files == 1
    assert sample.empty == ["b1/00000000-0000-4000-8000-000000000000"]
    need = need_of(sample, SourceSample())
    assert need.files == sum(count.files for count in sample.counts.values())
    assert need_of(sample, sample).files == 0


def test_a_sample_ends_when_its_time_is_up() -> None:
    store = MemoryStore()
    for organization in ("a", "b", "c"):
        store.save(RawFile(organization, RawId("00000000-0000-4000-8000-000000000000")), b"12")
    ticks = iter(range(100))
    sample = sample_of(store, ("a", "b", "c"), seconds=0.5, clock=lambda: float(next(ticks)))
    assert sample.inspected == 1
    assert not sample.exact
    assert {count.bytes for count in sample.counts.values()} == {2}


def test_a_listing_that_fails_is_an_error_under_the_name_that_migrate_ends_with() -> None:
    store = MemoryStore()
    for organization in ("a", "b", "c"):
        store.save(RawFile(organization, RawId("00000000-0000-4000-8000-000000000000")), b"12")
    broken = MustStop("listing-broken", "KeyCount says 3, and 2 keys are there.", why="The server contradicts itself.")
    for fails in ("entry", "folders"):
        failing = FailingStore(store, Schedule(at={(fails, 2): broken, (fails, 3): broken}))
        sample = sample_of(failing, ("a", "b", "c"), seconds=60)
        assert [organization for organization, _ in sample.errors] == ["b", "c"]
        [finding] = listing_errors(sample, "s3://bucket")
        assert finding.name == "listing-broken"
        assert finding.status is ERROR
        assert finding.cure
        assert "b, c" in finding.seen
        assert "KeyCount" in finding.seen
        said = {one.name for one in source_findings((), sample, is_disk=False, now=0.0) if one.status is PASS}
        assert finding_names.SOURCE not in said
    assert not list(listing_errors(sample_of(store, ("a", "b", "c"), seconds=60), "s3://bucket"))


SETTINGS = [
    (finding_names.SETTING_NAMES, {"AWS_ENDPOINT": "http://x"}, WARNING, "AWS_ENDPOINT_URL"),
    (finding_names.SETTING_NAMES, {"S3_BUKET": "x"}, WARNING, "S3_BUCKET"),
    (finding_names.SETTING_NAMES, {"BUCKET_PER_ORGS": "x"}, WARNING, "BUCKET_PER_ORG"),
    (finding_names.SETTING_NAMES, {"AWS_ENDPOINT": "http://x", "AWS_ENDPOINT_URL": "http://x"}, PASS, ""),
    (finding_names.SETTING_NAMES, {"S3_BUCKET": "x", "AWS_MAX_ATTEMPTS": "3", "BYTES_API": "http://x"}, PASS, ""),
]


@pytest.mark.parametrize(("name", "environ", "status", "says"), SETTINGS)
def test_setting_names(name: str, environ: dict[str, str], status: FindingStatus, says: str) -> None:
    found = list(check_settings(environ, (), ()))
    assert [(one.name, one.status) for one in found] == ([(name, status)] if says else [])
    assert all(says in one.cure for one in found)


def test_profiles() -> None:
    assert list(check_settings({}, (), ())) == []
    used = [Setting("AWS_PROFILE", "mine", "environment")]
    assert_told(named(check_settings({}, (), used), finding_names.PROFILE_ONLY), WARNING)


def test_secrets_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "new.env"
    path.write_text("AWS_SECRET_ACCESS_KEY=hunter2\n")
    read = [(path, [Setting("AWS_SECRET_ACCESS_KEY", "hunter2", "line 1")])]
    for mode, status in ((0o640, None), (0o644, WARNING)):
        path.chmod(mode)
        found = list(check_settings({}, read, ()))
        assert [(one.name, one.status) for one in found] == (
            [(finding_names.SECRETS_READABLE, status)] if mode & 4 else []
        )
        assert "hunter2" not in str(found)
    plain = [(path, [Setting("S3_BUCKET", "x", "line 1")])]
    assert list(check_settings({}, plain, ())) == []


NGINX = [
    ("http://s3.example.org:8333", "PUT /[^/?]+/?$", "http://127.0.0.1:8334"),
    ("https://s3.example.org/a.b-c/", "PUT /a\\.b-c/[^/?]+/?$", "http://127.0.0.1:8334/a.b-c"),
]


@pytest.mark.parametrize(("endpoint", "pattern", "through"), NGINX)
def test_nginx_lines_are_for_buckets_of_every_name_below_the_endpoint(
    endpoint: str, pattern: str, through: str
) -> None:
    text = "\n".join(nginx_lines(endpoint))
    assert f'"~^{pattern}"' in text
    assert f"AWS_ENDPOINT_URL={through} " in text
    assert "proxy_set_header Host $http_host;" in text
    assert ("proxy_ssl_name s3.example.org;" in text) == endpoint.startswith("https")
    assert "/a.b-c" not in text.partition("proxy_pass")[2]
