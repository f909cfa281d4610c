"""Whatever is wrong before anything moved: one sentence with what to do, the right exit status, no traceback, nothing written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests import command, corpus, fork_server, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.servers import S3Server, free_ports

pytestmark = pytest.mark.one_process

RAW_ID = "0123abcd-1111-4222-8333-444455556666"


@dataclass
class Scene:
    """Everything set up well: each case breaks one thing."""

    tmp: Path
    state: Path
    server: S3Server
    names: FreshNames
    without_root: str
    words: list[str | os.PathLike[str]] = field(default_factory=lambda: ["--to", "s3"])
    entry: str = fork_server.COMMAND
    changes: dict[str, str | None] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.tmp / "data"

    @property
    def env(self) -> Mapping[str, str | None]:
        return {
            **self.server.env(),
            **ends.settings(ends.single(self.names)),
            "BYTES_DATA_DIR": str(self.data),
            **self.changes,
        }

    def as_identity(self, name: str) -> None:
        self.changes |= self.server.as_identity(name).env()


@pytest.fixture
def scene(tmp_path: Path, state: Path, weed: S3Server, fresh_names: FreshNames, without_root: str) -> Iterator[Scene]:
    made = Scene(tmp_path, state, weed, fresh_names, without_root)
    ends.make_varied_store(made.data, {"alpha": 6, "b1": 3})
    yield made
    for folder in (tmp_path, *tmp_path.rglob("*")):
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o755)


@contextlib.contextmanager
def nothing_written_anywhere(scene: Scene, *, but_a_ledger: bool = False) -> Iterator[None]:
    client = scene.server.client()
    before = oracle.s3_snapshot(client, scene.names.bucket, scene.names.prefix, "OpenKAT")
    with oracle.nothing_written(scene.tmp, *([] if but_a_ledger else [scene.state])):
        yield
    assert oracle.s3_snapshot(client, scene.names.bucket, scene.names.prefix, "OpenKAT") == before


# --- what is broken ----------------------------------------------------------------------------------------------------


def nothing_set(scene: Scene) -> None:
    scene.changes |= {"S3_BUCKET": None, "BUCKET_PER_ORG": None}


def bucket_set_to_nothing(scene: Scene) -> None:
    scene.changes |= {"S3_BUCKET": "", "S3_BUCKET_PREFIX": ""}


def no_choice_of_naming(scene: Scene) -> None:
    scene.changes["BUCKET_PER_ORG"] = ""


def naming_that_is_no_boolean(scene: Scene) -> None:
    scene.changes["BUCKET_PER_ORG"] = "maybe"


def secret_missing(scene: Scene) -> None:
    scene.changes["AWS_SECRET_ACCESS_KEY"] = None


def key_missing(scene: Scene) -> None:
    scene.changes["AWS_ACCESS_KEY_ID"] = None


def keys_missing(scene: Scene) -> None:
    scene.changes |= {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


def data_folder_missing(scene: Scene) -> None:
    scene.changes["BYTES_DATA_DIR"] = str(scene.tmp / "not-mounted")


def data_folder_is_a_file(scene: Scene) -> None:
    (scene.tmp / "file").write_text("no folder")
    scene.changes["BYTES_DATA_DIR"] = str(scene.tmp / "file")


def data_folder_empty(scene: Scene) -> None:
    (scene.tmp / "mount-point").mkdir()
    scene.changes["BYTES_DATA_DIR"] = str(scene.tmp / "mount-point")


def data_folder_with_empty_organizations(scene: Scene) -> None:
    (scene.tmp / "hollow" / "alpha" / "abc").mkdir(parents=True)
    scene.changes["BYTES_DATA_DIR"] = str(scene.tmp / "hollow")


def data_folder_of_strays(scene: Scene) -> None:
    (scene.tmp / "other" / "Documents").mkdir(parents=True)
    (scene.tmp / "other" / "Documents" / "letter.txt").write_text("not Bytes'")
    scene.changes["BYTES_DATA_DIR"] = str(scene.tmp / "other")


def data_folder_unreadable(scene: Scene) -> None:
    scene.data.chmod(0)
    scene.entry = scene.without_root


def data_folder_below_an_unreadable_one(scene: Scene) -> None:
    closed = scene.tmp / "closed"
    ends.make_varied_store(closed / "data", {"alpha": 2})
    closed.chmod(0)
    scene.changes["BYTES_DATA_DIR"] = str(closed / "data")
    scene.entry = scene.without_root


def one_level_too_deep(scene: Scene) -> None:
    scene.changes["BYTES_DATA_DIR"] = str(scene.data / "alpha")


def one_level_too_high(scene: Scene) -> None:
    scene.changes["BYTES_DATA_DIR"] = str(scene.tmp)


def unknown_organization(scene: Scene) -> None:
    scene.words += ["--organization", "alpah"]


def organization_that_leads_out(scene: Scene) -> None:
    scene.words += ["--organization", "../data/alpha"]


def port_closed(scene: Scene) -> None:
    scene.changes["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{free_ports(1)[0]}"


def host_unknown(scene: Scene) -> None:
    scene.changes["AWS_ENDPOINT_URL"] = "http://s3.example.invalid"


def endpoint_is_no_url(scene: Scene) -> None:
    scene.changes["AWS_ENDPOINT_URL"] = "s3.example.org"


def endpoint_speaks_no_tls(scene: Scene) -> None:
    scene.changes["AWS_ENDPOINT_URL"] = scene.server.endpoint_url.replace("http:", "https:")


def secret_wrong(scene: Scene) -> None:
    scene.changes["AWS_SECRET_ACCESS_KEY"] = scene.server.secret_key[:-1] + "x"


def key_unknown(scene: Scene) -> None:
    scene.changes["AWS_ACCESS_KEY_ID"] = "AKNOBODYKNOWSTHISONE"


def profile_unknown(scene: Scene) -> None:
    scene.words += ["--profile", "nobody"]


def region_empty(scene: Scene) -> None:
    scene.changes["AWS_DEFAULT_REGION"] = ""


def may_do_nothing(scene: Scene) -> None:
    scene.as_identity("stranger")


def may_not_create_buckets(scene: Scene) -> None:
    scene.as_identity("mover")


def may_not_write(scene: Scene) -> None:
    ends.make_bucket(scene.server.client(), scene.names.bucket)
    scene.as_identity("reader")


def may_not_list(scene: Scene) -> None:
    ends.put(scene.server.client(), ends.single(scene.names), "alpha", RAW_ID, b"content")
    scene.as_identity("blind")


def may_not_list_the_source(scene: Scene) -> None:
    may_not_list(scene)
    scene.words = ["--to", "disk", "--data-dir", scene.tmp / "fresh"]


def prefix_upper_case(scene: Scene) -> None:
    scene.changes |= {"S3_BUCKET": None, "S3_BUCKET_PREFIX": "OpenKAT-", "BUCKET_PER_ORG": "true"}


def prefix_with_underscore(scene: Scene) -> None:
    scene.changes |= {"S3_BUCKET": None, "S3_BUCKET_PREFIX": "open_kat-", "BUCKET_PER_ORG": "true"}


def bucket_name_invalid(scene: Scene) -> None:
    scene.changes["S3_BUCKET"] = "My_Bucket"


def template_without_organization(scene: Scene) -> None:
    scene.words = ["--from", scene.data, "--to", f"s3://{scene.names.bucket}"]


def same_folder_twice(scene: Scene) -> None:
    scene.words = ["--from", scene.data, "--to", f"{scene.data}/../data"]


def same_folder_through_a_link(scene: Scene) -> None:
    (scene.tmp / "link").symlink_to(scene.data)
    scene.words = ["--from", scene.data, "--to", scene.tmp / "link"]


def one_folder_inside_the_other(scene: Scene) -> None:
    scene.words = ["--from", scene.data, "--to", scene.data / "copy"]


def same_bucket_twice(scene: Scene) -> None:
    there = ends.template(ends.single(scene.names))
    scene.words = ["--from", there, "--to", there]


def same_word_twice(scene: Scene) -> None:
    scene.words = ["--from", "s3", "--to", "s3"]


def neither_end(scene: Scene) -> None:
    scene.words = []


def env_file_missing(scene: Scene) -> None:
    scene.words += ["--env-file", scene.tmp / "missing.env"]


def env_file_broken(scene: Scene) -> None:
    (scene.tmp / "broken.env").write_bytes(b"S3_BUCKET=\xff\xfe\nexport what is this")
    scene.words += ["--env-file", scene.tmp / "broken.env"]


def location_unknown(scene: Scene) -> None:
    scene.words = ["--from", "disc", "--to", "s3"]


def permission_no_octal(scene: Scene) -> None:
    scene.changes["BYTES_FILE_PERMISSION"] = "rw-r-----"


def target_parent_missing(scene: Scene) -> None:
    scene.words = ["--from", scene.data, "--to", scene.tmp / "no" / "such" / "place"]


def state_unwritable(scene: Scene) -> None:
    folder = scene.tmp / "state"
    folder.mkdir(mode=0o500)
    scene.words += ["--state-dir", folder / "below"]
    scene.entry = scene.without_root


def state_is_a_file(scene: Scene) -> None:
    (scene.tmp / "state").write_text("no folder")
    scene.words += ["--state-dir", scene.tmp / "state"]


def state_of_others(scene: Scene) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder = scene.tmp / "state"
    folder.mkdir()
    os.chown(folder, 1234, 1234)
    folder.chmod(0o777)
    scene.words += ["--state-dir", folder]


@dataclass(frozen=True)
class Case:
    """`breaks` one thing; then `migrate` ends with `status` and an error of this name, and `plan` likewise unless told otherwise.

    `says` has to be somewhere in what is told, so that the operator knows which thing is meant. What only shows when something is
    written `began`: it leaves a ledger, and nothing else.
    """

    breaks: Callable[[Scene], None]
    status: int
    name: str
    says: tuple[str, ...] = ()
    plan: int | None = None
    began: bool = False


CASES = [
    Case(nothing_set, 2, "s3-not-set", ("S3_BUCKET", "S3_BUCKET_PREFIX")),
    Case(bucket_set_to_nothing, 2, "s3-not-set", ("S3_BUCKET",)),
    Case(no_choice_of_naming, 2, "", ("BUCKET_PER_ORG",)),
    Case(naming_that_is_no_boolean, 2, "", ("BUCKET_PER_ORG", "maybe")),
    Case(secret_missing, 2, "aws-keys-half-set", ("AWS_SECRET_ACCESS_KEY",)),
    Case(key_missing, 2, "aws-keys-half-set", ("AWS_ACCESS_KEY_ID",)),
    Case(keys_missing, 2, "no-credentials", ("AWS_ACCESS_KEY_ID",)),
    Case(data_folder_missing, 3, "source-missing", ("not-mounted",)),
    Case(data_folder_is_a_file, 3, "", ("file",)),
    Case(data_folder_empty, 3, "source-empty", ("mount-point", "--allow-empty")),
    Case(data_folder_with_empty_organizations, 3, "source-empty", ("hollow", "--allow-empty")),
    Case(data_folder_of_strays, 3, "source-empty", ("other",)),
    Case(data_folder_unreadable, 3, "unreadable", ("data", "ermission")),
    Case(data_folder_below_an_unreadable_one, 3, "unreadable", ("closed", "ermission")),
    Case(one_level_too_deep, 3, "one-level-too-deep", ("alpha", "above")),
    Case(one_level_too_high, 3, "source-empty", ()),
    Case(unknown_organization, 2, "organization-unknown", ("alpah", "'alpha'")),
    Case(organization_that_leads_out, 2, "organization-unknown", ("../data/alpha",)),
    Case(port_closed, 3, "connection-refused", ("127.0.0.1",)),
    Case(host_unknown, 3, "host-not-found", ("s3.example.invalid",)),
    Case(endpoint_is_no_url, 2, "endpoint-not-a-url", ("AWS_ENDPOINT_URL", "s3.example.org")),
    Case(endpoint_speaks_no_tls, 3, "", ("https://",)),
    Case(secret_wrong, 3, "credentials-refused", ("SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY")),
    Case(key_unknown, 3, "credentials-refused", ("InvalidAccessKeyId", "AWS_ACCESS_KEY_ID")),
    Case(profile_unknown, 2, "", ("nobody",)),
    Case(region_empty, 2, "aws-region-empty", ("AWS_DEFAULT_REGION",)),
    Case(may_do_nothing, 3, "access-denied"),
    Case(may_not_create_buckets, 3, "access-denied", plan=0, began=True),
    Case(may_not_write, 3, "rights-target", ("s3:PutObject",), plan=1),
    Case(may_not_list, 3, "access-denied", began=True),
    Case(may_not_list_the_source, 3, "access-denied"),
    Case(prefix_upper_case, 3, "bucket-names", ("OpenKAT-alpha", "S3_BUCKET_PREFIX"), plan=1),
    Case(prefix_with_underscore, 3, "bucket-names", ("open_kat-alpha", "S3_BUCKET_PREFIX"), plan=1),
    Case(bucket_name_invalid, 3, "bucket-names", ("My_Bucket",), plan=1),
    Case(template_without_organization, 2, "location-template", ("{organization}",)),
    Case(same_folder_twice, 2, "same-place"),
    Case(same_folder_through_a_link, 2, "same-place"),
    Case(one_folder_inside_the_other, 2, "same-place", ("inside",)),
    Case(same_bucket_twice, 2, "same-place"),
    Case(same_word_twice, 2, "same-place"),
    Case(neither_end, 2, "locations-missing", ("--to s3",)),
    Case(env_file_missing, 2, "", ("missing.env",)),
    Case(env_file_broken, 2, "", ("broken.env",)),
    Case(location_unknown, 2, "location-unknown", ("disc",)),
    Case(permission_no_octal, 2, "", ("BYTES_FILE_PERMISSION",)),
    Case(target_parent_missing, 3, "target-folder", ("no/such",), plan=1),
    Case(state_unwritable, 3, "state-folder-unwritable", ("--state-dir",), plan=0),
    Case(state_is_a_file, 3, "state-folder-unwritable", ("--state-dir",), plan=0),
    Case(state_of_others, 3, "state-folder-not-ours", ("--state-dir",), plan=0),
]

SLOWEST = 20.0
"""Seconds after which a command that cannot begin has to have said so."""


@pytest.mark.row(43, 54, 59, 61, 62, 64, 69)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.breaks.__name__)
def test_what_cannot_be_done_is_told_and_nothing_is_written(case: Case, scene: Scene) -> None:
    case.breaks(scene)
    with nothing_written_anywhere(scene, but_a_ledger=case.began):
        done = command.run("migrate", "--yes", "--json", *scene.words, env=scene.env, entry=scene.entry)
        done.expect(case.status)
        assert done.seconds < SLOWEST, done
        planned = command.run("plan", "--patience", "1", *scene.words, env=scene.env, entry=scene.entry)
        planned.expect(case.status if case.plan is None else case.plan)
        assert planned.seconds < SLOWEST, planned
    assert_told(done, case.name, case.says)


def assert_told(done: command.Completed, name: str, says: tuple[str, ...] = ()) -> None:
    """One error, the same in JSON and on stderr: what, and what to do now."""
    error = done.json()["error"]
    assert set(error) == {"name", "what", "why", "cure"}
    assert error["name"] == name or not name, done
    assert error["name"] != "unexpected", done
    assert error["what"], done
    assert error["cure"], f"nothing says what to do now\n{done}"
    # where a look took its time, that was said before
    told = [line for line in done.stderr.splitlines() if not line.startswith("Looking at ")]
    assert told[0].startswith("error: "), done
    assert f"[{error['name']}]" in told[0]
    told = " ".join((error["what"], error["why"], error["cure"]))
    for words in says:
        assert words in told, f"{words!r} is not told\n{done}"


USAGE = {
    "unknown option": ["plan", "--too", "s3"],
    "unknown command": ["mirgate"],
    "no number of jobs": ["migrate", "--jobs", "0", "--to", "s3"],
    "unknown finding": ["migrate", "--force", "everything", "--to", "s3"],
}


@pytest.mark.parametrize("words", USAGE.values(), ids=USAGE.keys())
def test_usage_that_cannot_be_meant(words: list[str], scene: Scene) -> None:
    with nothing_written_anywhere(scene):
        done = command.run(*words, env=scene.env).expect(2)
    assert done.stderr.strip()
    assert done.stdout == ""


# --- what needs more than a word ---------------------------------------------------------------------------------------


def test_without_a_terminal_yes_has_to_be_said(scene: Scene) -> None:
    with nothing_written_anywhere(scene):
        done = command.run("migrate", "--json", "--to", "s3", env=scene.env).expect(2)
    assert_told(done, "yes-missing", ("--yes",))


@pytest.mark.row(75)
def test_an_empty_source_is_fine_only_for_who_says_so(scene: Scene) -> None:
    data_folder_empty(scene)
    document = command.run("migrate", "--yes", "--json", "--to", "s3", "--allow-empty", env=scene.env).expect(0).json()
    oracle.assert_adds_up(document)
    assert ends.files(document) == {}
    planned = command.run("plan", "--json", "--to", "s3", "--allow-empty", env=scene.env).expect(0).json()
    assert ends.files(planned) == {}


def test_an_empty_bucket_is_no_success_either(scene: Scene) -> None:
    ends.make_bucket(scene.server.client(), scene.names.bucket)
    fresh = scene.tmp / "fresh"
    with nothing_written_anywhere(scene):
        done = command.run("migrate", "--yes", "--json", "--to", "disk", "--data-dir", fresh, env=scene.env).expect(3)
    assert_told(done, "source-empty", (scene.names.bucket,))


@pytest.mark.row(62)
def test_rights_to_read_list_and_write_are_enough_where_the_bucket_exists(scene: Scene) -> None:
    ends.make_bucket(scene.server.client(), scene.names.bucket)
    scene.as_identity("mover")
    document = command.run("migrate", "--yes", "--json", "--to", "s3", env=scene.env).expect(0).json()
    assert ends.files(document) == {"discovered": 9, "copied": 9}
    scene.as_identity("reader")
    fresh = scene.tmp / "fresh"
    command.run("migrate", "--yes", "--to", "disk", "--data-dir", fresh, env=scene.env).expect(0)
    oracle.assert_same(oracle.disk_state(scene.data), oracle.disk_state(fresh))


def test_organizations_have_to_be_named_where_buckets_may_not_be_listed(scene: Scene) -> None:
    naming = ends.per_organization(scene.names)
    ends.put(scene.server.client(), naming, "alpha", RAW_ID, b"content")
    scene.as_identity("stranger")
    words = ("--from", ends.template(naming), "--to", scene.tmp / "fresh")
    with nothing_written_anywhere(scene):
        done = command.run("migrate", "--yes", "--json", *words, env=scene.env).expect(3)
    assert_told(done, "")


@pytest.mark.row(66)
def test_a_ledger_of_a_newer_version_is_left_alone(scene: Scene) -> None:
    fresh = scene.tmp / "fresh"
    words = ("--from", scene.data, "--to", fresh)
    command.run("migrate", "--yes", *words).expect(0)
    (ledger,) = scene.state.glob("*.sqlite3")
    connection = sqlite3.connect(ledger, isolation_level=None)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("CREATE TABLE of_the_future (x)")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version={version + 1}")
    connection.close()
    content = ledger.read_bytes()
    corpus.add_raw_file(scene.data, "alpha", b"one more", RAW_ID)
    with oracle.nothing_written(scene.tmp):
        done = command.run("migrate", "--yes", "--json", *words).expect(3)
    assert_told(done, "ledger-newer", (str(ledger), "--state-dir"))
    assert ledger.read_bytes() == content
    command.run("migrate", "--yes", *words, "--state-dir", scene.tmp / "another").expect(0)


@pytest.mark.row(70)
def test_two_runs_at_once_are_one_too_many(scene: Scene) -> None:
    command.run("migrate", "--yes", "--to", "s3", env=scene.env).expect(0)
    (lock,) = scene.state.glob("*.lock")
    corpus.add_raw_file(scene.data, "alpha", b"one more", RAW_ID)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with nothing_written_anywhere(scene):
            done = command.run("migrate", "--yes", "--json", "--to", "s3", env=scene.env).expect(4)
            back = command.run("migrate", "--yes", "--json", "--to", "disk", env=scene.env).expect(4)
            command.run("plan", "--to", "s3", env=scene.env).expect(0)
            status = command.run("status", "--json", env=scene.env).expect(0).json()
    assert_told(done, "ledger-busy", ("status",))
    assert_told(back, "ledger-busy")
    assert status["pairs"][0]["running"] is True
    command.run("migrate", "--yes", "--to", "s3", env=scene.env).expect(0)


@pytest.mark.row(70)
def test_two_sources_at_once_do_not_write_to_one_data_folder(scene: Scene) -> None:
    fresh = scene.tmp / "fresh"
    fresh.mkdir()
    descriptor = os.open(fresh, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with oracle.nothing_written(fresh):
            done = command.run("migrate", "--yes", "--json", "--from", scene.data, "--to", fresh).expect(4)
    finally:
        os.close(descriptor)
    assert_told(done, "place-busy", (str(fresh),))


def test_status_of_nothing_is_no_error(scene: Scene) -> None:
    with nothing_written_anywhere(scene):
        text = command.run("status").expect(0).stdout
        document = command.run("status", "--json").expect(0).json()
    assert "No run has been recorded" in text
    assert document["pairs"] == []


def test_a_secret_in_a_settings_file_is_never_shown(scene: Scene) -> None:
    """`command.run` looks for the server's own secret; here one that nobody passes by its variable."""
    secret = "NobodyMayReadThisOne" + "0" * 20
    wrong = replace(scene.server, secret_key=secret)
    env_file = ends.write_env_file(scene.tmp / "bytes.env", wrong.env(), ends.settings(ends.single(scene.names)))
    log = scene.tmp / "log"
    words = ("--env-file", env_file, "--to", "s3", "--data-dir", scene.data, "-v", "--log-file", log)
    done = command.run("plan", "--json", *words, secrets=[secret]).expect(3)
    assert_told(done, "credentials-refused")
    assert secret not in log.read_text()
