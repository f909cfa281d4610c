"""`audit` asks Bytes' database which raw files there must be, and says which of them Bytes can read."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest

from migrator.checks.audit.database import Wanted, dsn_of, reading_database
from migrator.checks.audit.exported_rows import EXPORT
from tests import command, corpus, oracle, recorded
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.postgres import TABLES, Postgres, programs
from tests.recorded import Saved
from tests.running_bytes import PASSWORD, running_bytes
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

AUDIT = ("audit", "--json")
CONTENT = (*AUDIT, "--level", "content")


@dataclass(frozen=True)
class Bytes:
    """A database of Bytes', and the settings that name it."""

    postgres: Postgres
    name: str

    @property
    def env(self) -> dict[str, str]:
        return {"BYTES_DB_URI": self.postgres.uri(self.name)}

    def record(self, files: Sequence[Saved]) -> None:
        self.postgres.fill(self.name, [one.row for one in files])


@pytest.fixture
def database(postgres: Postgres) -> Bytes:
    return Bytes(postgres, postgres.fresh_database())


def run(*words: object, status: int, **settings: Any) -> Any:
    """The document; its totals add up, over all and for each organization."""
    document = command.run(*words, **settings).expect(status).json()  # type: ignore[arg-type]
    assert document["exit_status"] == status
    rows = document["organizations"]
    for counts in (*rows, document["totals"]):
        for unit in ("files", "bytes"):
            parts = sum(counts[name][unit] for name in ("readable", "elsewhere", "missing"))
            assert counts["rows"][unit] == parts, counts
    for name, count in document["totals"].items():
        assert count["files"] == sum(row[name]["files"] for row in rows), name
    return document


def named(document: Any, kind: str) -> set[tuple[str, str]]:
    return {(found["organization"], found["id"]) for found in document["problems"] if found["kind"] == kind}


def names(files: Sequence[Saved]) -> set[tuple[str, str]]:
    return {one.name for one in files}


# --- what is where ---------------------------------------------------------------------------------------------------


def test_everything_there_is_exit_status_0(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 30, "alpha-2": 20, "gemeente-éé": 5})
    database.record(files)
    recorded.save(data, files)
    with oracle.nothing_written(data):
        document = run(*AUDIT, "--data-dir", data, env=database.env, status=0)
    assert ends.files(document) == {"rows": 55, "readable": 55}
    assert document["totals"]["readable"]["bytes"] == sum(len(one.content) for one in files)
    assert (document["problems_total"], document["findings"]) == (0, [])
    assert document["to"] == f"{data} (disk)"
    done = command.run("audit", "--data-dir", data, env=database.env).expect(0)
    assert done.stdout.startswith("With these settings Bytes can read 55 of 55 raw files")


@pytest.mark.parametrize("library", ["with libcurl"])
def test_what_is_only_on_disk_is_counted_before_and_after_a_migration(
    library: str, server: S3Server, naming: oracle.Naming, database: Bytes, data: Path
) -> None:
    files = recorded.saved({"alpha": 40, "b1": 10})
    database.record(files)
    recorded.save(data, files)
    env = {**server.env(), **ends.settings(naming), **database.env, "BYTES_DATA_DIR": str(data)}
    before = run(*AUDIT, env=env, status=1)  # the buckets do not even exist
    assert ends.files(before) == {"rows": 50, "elsewhere": 50}
    done = command.run("audit", env=env).expect(1)
    assert done.stdout.splitlines()[0] == "With these settings Bytes can read 0 of 50 raw files; 50 are only on disk."
    command.run("migrate", "--yes", "--to", "s3", env=env).expect(0)
    assert ends.files(run(*AUDIT, env=env, status=0)) == {"rows": 50, "readable": 50}
    assert ends.files(run(*CONTENT, env=env, status=0)) == {"rows": 50, "readable": 50}


def test_every_kind_is_told_by_organization(database: Bytes, data: Path, tmp_path: Path) -> None:
    files = recorded.saved({"alpha": 40, "b1": 30, "zaandam": 3})
    at_both, only_there, nowhere = files[:20] + files[40:], files[20:30], files[30:40]
    at_both[0] = recorded.without_hash(at_both[0])
    database.record([*at_both, *only_there, *nowhere])
    recorded.save(data, at_both)
    recorded.save(tmp_path / "old", [*at_both, *only_there])
    orphans = recorded.saved({"alpha": 4, "gone": 3}, seed=7)
    recorded.save(data, orphans)
    document = run(*AUDIT, "--from", f"{tmp_path}/old", "--to", data, env=database.env, status=1)
    assert ends.files(document) == {
        "rows": 73, "readable": 53, "elsewhere": 10, "missing": 10, "orphaned": 7, "unhashed": 1,
    }  # fmt: skip
    assert ends.row(document, "alpha") == {
        "rows": 40, "readable": 20, "elsewhere": 10, "missing": 10, "orphaned": 4, "unhashed": 1,
    }  # fmt: skip
    assert ends.row(document, "b1") == {"rows": 30, "readable": 30}
    assert ends.row(document, "gone") == {"orphaned": 3}
    assert named(document, "elsewhere") == names(only_there)
    assert named(document, "missing") == names(nowhere)
    assert named(document, "orphaned") == names(orphans)
    assert document["problems_total"] == 10 + 10 + 7 + 1
    assert document["totals"]["elsewhere"]["bytes"] == sum(len(one.content) for one in only_there)
    assert document["totals"]["missing"]["bytes"] == 0
    text = command.run("audit", "--from", f"{tmp_path}/old", "--to", data, env=database.env).expect(1).stdout
    assert text.splitlines()[0] == (
        f"With these settings Bytes can read 53 of 73 raw files; 10 are only at {tmp_path}/old (disk)."
    )


def test_orphans_and_strays_alone_do_not_change_the_status(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 20})
    database.record(files)
    recorded.save(data, files)
    recorded.save(data, recorded.saved({"alpha": 2}, seed=3))
    corpus.add_strays(data)
    assert ends.files(run(*AUDIT, "--data-dir", data, env=database.env, status=0)) == {
        "rows": 20, "readable": 20, "orphaned": 2,
    }  # fmt: skip


def test_settings_that_are_not_active_yet_are_asked_about(
    weed: S3Server, fresh_names: FreshNames, database: Bytes, data: Path, tmp_path: Path
) -> None:
    files = recorded.saved({"alpha": 12})
    database.record(files)
    recorded.save(data, files)
    new = ends.write_env_file(tmp_path / "new.env", weed.env(), ends.settings(ends.single(fresh_names)))
    env = {**database.env, "BYTES_DATA_DIR": str(data)}
    now = run(*AUDIT, env=env, status=0)
    assert (now["from"], ends.files(now)) == (None, {"rows": 12, "readable": 12})
    then = run(*AUDIT, "--to", new, env=env, status=1)
    assert ends.files(then) == {"rows": 12, "elsewhere": 12}
    assert then["from"] == f"{data} (disk)"
    everything = ends.write_env_file(tmp_path / "all.env", weed.env(), ends.settings(ends.single(fresh_names)), env)
    assert ends.files(run(*AUDIT, "--to", everything, status=1)) == {"rows": 12, "elsewhere": 12}


def test_an_organization_that_can_have_no_bucket_is_unreadable_and_said(
    weed: S3Server, fresh_names: FreshNames, database: Bytes, data: Path
) -> None:
    files = recorded.saved({"alpha": 3, "under_score": 4})
    database.record(files)
    recorded.save(data, files)
    env = {
        **weed.env(),
        **ends.settings(ends.per_organization(fresh_names)),
        **database.env,
        "BYTES_DATA_DIR": str(data),
    }
    document = run(*AUDIT, env=env, status=1)
    assert ends.files(document) == {"rows": 7, "elsewhere": 7}
    assert "under_score" in ends.findings(document)["names"]["seen"]


def test_a_hostile_organization_leads_nowhere(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 3})
    hostile = [replace(one, row=replace(one.row, organization="../alpha")) for one in recorded.saved({"x": 2}, seed=4)]
    database.record([*files, *hostile])
    recorded.save(data / "alpha", recorded.saved({"x": 2}, seed=4))
    recorded.save(data, files)
    document = run(*AUDIT, "--data-dir", data / "alpha" / "..", env=database.env, status=1)
    assert ends.files(document) == {"rows": 5, "readable": 3, "missing": 2}
    assert {"names", "no-other-location"} <= set(ends.findings(document))


def test_a_folder_that_cannot_be_read_is_said(database: Bytes, data: Path, without_root: str) -> None:
    files = recorded.saved({"alpha": 10})
    database.record(files)
    recorded.save(data, files)
    locked = recorded.path_of(data, files[0]).parent
    locked.chmod(0)
    document = run(*AUDIT, "--data-dir", data, env=database.env, status=1, entry=without_root)
    assert document["unreadable_folders"] == 1
    assert "folders-unreadable" in ends.findings(document)
    assert files[0].name in named(document, "missing")
    locked.chmod(0o755)


def test_one_organization_and_ages(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 30, "b1": 9})
    database.record(files)
    recorded.save(data, files)
    recorded.save(data, recorded.saved({"alpha": 2}, seed=3))
    words = (*AUDIT, "--data-dir", data)
    only = run(*words, "--organization", "b1", env=database.env, status=0)
    assert ends.files(only) == {"rows": 9, "readable": 9}
    ends_at = sorted(one.row.ended_at for one in files if one.row.ended_at is not None)
    middle = ends_at[20]
    newer = run(*words, "--newer-than", middle.isoformat(), env=database.env, status=0)
    older = run(*words, "--older-than", middle.isoformat(), env=database.env, status=0)
    assert ends.files(newer) == {"rows": 39 - 20, "readable": 39 - 20}  # and no orphan: its row may be older
    assert ends.files(older) == {"rows": 20, "readable": 20}


# --- contents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boxed", [False, True], ids=["plain", "boxed"])
def test_altered_truncated_emptied_and_swapped_contents_are_named(database: Bytes, data: Path, boxed: bool) -> None:
    files = [one for one in recorded.saved({"alpha": 60, "b1": 60}) if len(one.content) > 10]
    unhashed = recorded.without_hash(files.pop())
    database.record([*files, unhashed])
    recorded.save(data, [*files, unhashed], boxed=boxed)
    flipped, truncated, emptied, *swapped = files[3], files[40], files[60], files[70], files[71]
    paths = {one.name: recorded.path_of(data, one) for one in files}
    paths[flipped.name].write_bytes(_with_a_bit_flipped(paths[flipped.name].read_bytes()))
    paths[truncated.name].write_bytes(paths[truncated.name].read_bytes()[:-1])
    paths[emptied.name].write_bytes(b"")
    first, second = (paths[one.name].read_bytes() for one in swapped)
    paths[swapped[0].name].write_bytes(second)
    paths[swapped[1].name].write_bytes(first)
    env = {**database.env, **(recorded.box_settings() if boxed else {})}
    assert ends.files(run(*AUDIT, "--data-dir", data, env=env, status=0))["readable"] == len(files) + 1
    document = run(*CONTENT, "--data-dir", data, env=env, status=1)
    damaged = [flipped, truncated, emptied]
    if boxed:
        assert named(document, "undecodable") == names(damaged)
        assert named(document, "altered") == names(swapped)
    else:
        assert named(document, "undecodable") == set()
        assert named(document, "altered") == names(damaged + swapped)
    assert named(document, "unhashed") == {unhashed.name}
    assert document["contents"]["proven"]["files"] == len(files) - 5
    assert document["totals"]["readable"]["files"] == len(files) + 1


def _with_a_bit_flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


def test_a_wrong_time_is_an_altered_content(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 9})
    assert files[4].row.ended_at is not None
    late = replace(files[4].row, ended_at=files[4].row.ended_at.replace(microsecond=7))
    recorded.save(data, files)
    files[4] = replace(files[4], row=late)
    database.record(files)
    document = run(*CONTENT, "--data-dir", data, env=database.env, status=1)
    assert named(document, "altered") == {files[4].name}


def test_a_million_files_elsewhere_hide_no_altered_one(database: Bytes, data: Path, tmp_path: Path) -> None:
    files = recorded.saved({"alpha": 1200, "zaandam": 5})
    database.record(files)
    recorded.save(tmp_path / "old", files)
    recorded.save(data, files[-5:])
    recorded.path_of(data, files[-1]).write_bytes(b"something else")
    document = run(*CONTENT, "--from", tmp_path / "old", "--to", data, env=database.env, status=1)
    assert document["totals"]["elsewhere"]["files"] == 1200
    assert document["problems_total"] == 1201
    assert len(document["problems"]) == 1000
    assert named(document, "altered") == {files[-1].name}


# --- from an export --------------------------------------------------------------------------------------------------


def test_the_documented_export_gives_the_same_report(
    postgres: Postgres, database: Bytes, data: Path, tmp_path: Path
) -> None:
    files = recorded.saved({"alpha": 50, "alpha-2": 20, "Alpha": 2, "gemeente-éé": 5, "zwolle": 4})
    files[5] = recorded.without_hash(files[5])
    database.record(files)
    recorded.save(data, files)
    recorded.path_of(data, files[7]).write_bytes(b"altered")
    recorded.path_of(data, files[9]).unlink()
    folder = programs()
    assert folder is not None
    psql = [str(folder / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", EXPORT, postgres.uri(database.name)]
    subprocess.run(psql, cwd=tmp_path, check=True, capture_output=True)
    from_database = run(*CONTENT, "--data-dir", data, env=database.env, status=1)
    from_export = run(*CONTENT, "--data-dir", data, "--database", tmp_path / "rows.csv", status=1)
    for part in ("totals", "organizations", "problems", "contents"):
        assert from_database[part] == from_export[part]
    assert named(from_export, "altered") == {files[7].name}
    reference = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    assert EXPORT in reference


ID = "0123abcd-1111-4222-8333-44445555666{}"
HEADER = "id,organization,secure_hash,ended_at\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1 .*empty"),
        ("id;organization;secure_hash;ended_at\n", "no column id"),
        ("id,organization,ended_at\n", "no column secure_hash"),
        (HEADER + f"{ID.format(0)},alpha,\n", "line 2 .*3 fields"),
        (HEADER + f"{ID.format(0).upper()},alpha,,\n", "line 2 .*canonical"),
        (HEADER + f"{ID.format(0)},,,\n", "line 2 .*organization"),
        (HEADER + f"{ID.format(1)},alpha,,\n{ID.format(0)},alpha,,\n", "line 3 .*order"),
        (HEADER + f"{ID.format(1)},alpha,,\n{ID.format(1)},alpha,,\n", "line 3 .*same raw file"),
        (HEADER + f"{ID.format(1)},beta,,\n{ID.format(1)},alpha,,\n", "line 3 .*order"),
        (HEADER + f"{ID.format(1)},alpha,,yesterday\n", "line 2 .*ended_at"),
        (HEADER + f"{ID.format(1)},alpha,,2026-02-30 00:00:00+00\n", "line 2 .*ended_at"),
        (HEADER + f'{ID.format(1)},"alpha,,\n', "no csv"),
        (HEADER + f"{ID.format(1)},alpha\udcff,,\n", "line 2.*utf-8"),
        (HEADER + "\x1b[31m,alpha,,\n", "line 2 .*canonical"),
    ],
)
def test_a_bad_export_is_refused_with_the_line(text: str, says: str, data: Path, tmp_path: Path) -> None:
    data.mkdir()
    rows = tmp_path / "rows.csv"
    rows.write_bytes(text.encode("utf-8", "surrogateescape"))
    done = command.run(*AUDIT, "--data-dir", data, "--database", rows)
    assert done.status in (2, 3), done
    assert re.search(says, done.json()["error"]["what"].lower()), done
    assert "\x1b" not in done.stderr


# --- bad input -------------------------------------------------------------------------------------------------------


def refused(*words: object, status: int, name: str, **settings: Any) -> command.Completed:
    done = command.run(*words, **settings).expect(status)  # type: ignore[arg-type]
    error = done.json()["error"]
    assert error["name"] == name, done
    assert error["what"]
    return done


def test_no_database_is_exit_status_2(data: Path) -> None:
    data.mkdir()
    refused(*AUDIT, "--data-dir", data, status=2, name="database-missing")


def test_a_database_that_cannot_be_used_is_exit_status_3_and_shows_no_password(
    postgres: Postgres, database: Bytes, data: Path
) -> None:
    data.mkdir()
    words = (*AUDIT, "--data-dir", data)
    secret = "hunter2-and-more"
    wrong = postgres.uri(database.name, password=secret)
    for uri in (wrong, postgres.uri("nowhere"), f"postgresql+psycopg2://bytes:{secret}@127.0.0.1:1/bytes"):
        refused(
            *words,
            env={"BYTES_DB_URI": uri},
            status=3,
            name="database-unreachable",
            secrets=(secret, postgres.password),
        )
        refused(*words, "--database", uri, status=3, name="database-unreachable", secrets=(secret, postgres.password))
    for uri in (f"postgresql://bytes:{secret}/x@h:y/bytes", f"mysql://bytes:{secret}@h/bytes", f"{wrong}?nothing=1"):
        refused(*words, env={"BYTES_DB_URI": uri}, status=2, name="database-invalid", secrets=(secret,))


@pytest.mark.parametrize("driver", ["", "+psycopg2", "+psycopg", "+asyncpg"])
def test_the_uris_of_sqlalchemy_are_understood(driver: str, database: Bytes, data: Path, tmp_path: Path) -> None:
    files = recorded.saved({"alpha": 2})
    database.record(files)
    recorded.save(data, files)
    uri = database.postgres.uri(database.name, driver=driver)
    assert ends.files(run(*AUDIT, "--data-dir", data, "--database", uri, status=0)) == {"rows": 2, "readable": 2}
    env_file = ends.write_env_file(tmp_path / ".env", {"BYTES_DB_URI": uri, "BYTES_DATA_DIR": str(data)})
    assert ends.files(run(*AUDIT, "--env-file", env_file, status=0)) == {"rows": 2, "readable": 2}


def test_another_database_is_refused_and_says_what_is_missing(postgres: Postgres, data: Path) -> None:
    data.mkdir()
    for tables, says in (
        ("SELECT 1", "raw_file does not exist"),
        (TABLES.replace("secure_hash varchar(256),", ""), "raw_file lacks the column secure_hash"),
        (
            TABLES.replace("organization varchar(32)", "organisation varchar(32)"),
            "boefje_meta lacks the column organization",
        ),
    ):
        uri = postgres.uri(postgres.fresh_database(tables))
        done = refused(*AUDIT, "--data-dir", data, "--database", uri, status=3, name="database-not-bytes")
        assert says in done.json()["error"]["what"]


def test_tables_that_may_not_be_read_are_refused(database: Bytes, data: Path) -> None:
    data.mkdir()
    with contextlib.closing(database.postgres.connect(database.name)) as connection:
        connection.execute(f"CREATE ROLE stranger_{database.name} LOGIN PASSWORD 'stranger'")
    uri = database.postgres.uri(database.name, user=f"stranger_{database.name}", password="stranger")
    refused(*AUDIT, "--data-dir", data, "--database", uri, status=3, name="database-denied")


def test_an_empty_database_is_no_success(database: Bytes, data: Path) -> None:
    recorded.save(data, recorded.saved({"alpha": 3}))
    refused(*AUDIT, "--data-dir", data, env=database.env, status=3, name="database-empty")
    document = run(*AUDIT, "--data-dir", data, "--allow-empty", env=database.env, status=0)
    assert ends.files(document) == {"orphaned": 3}


def test_wrong_nacl_keys_stop_after_the_first_hundred(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 300})
    database.record(files)
    recorded.save(data, files, boxed=True)
    env = {**database.env, **recorded.box_settings((bytes(range(2, 34)), bytes(range(1, 33))))}
    done = refused(*CONTENT, "--data-dir", data, env=env, status=3, name="nacl-keys-wrong")
    assert "100" in done.stderr
    document = run(*CONTENT, "--data-dir", data, env={**database.env, **recorded.box_settings()}, status=0)
    assert document["contents"]["proven"]["files"] == 300


def test_missing_and_broken_nacl_keys_are_exit_status_2(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 1})
    database.record(files)
    recorded.save(data, files)
    good = {**database.env, **recorded.box_settings()}
    words = (*CONTENT, "--data-dir", data)
    done = refused(*words, env={**good, "BYTES_PRIVATE_KEY_B64": ""}, status=2, name="nacl-keys-missing")
    assert "BYTES_PRIVATE_KEY_B64" in done.stderr
    for broken in ("c2hvcnQ=", "no base64 at all"):
        env = {**good, "BYTES_PUBLIC_KEY_B64": broken}
        refused(*words, env=env, status=2, name="nacl-keys-invalid", secrets=(good["BYTES_PRIVATE_KEY_B64"], broken))
    env = {**database.env, "BYTES_ENCRYPTION_MIDDLEWARE": "ROT13"}
    refused(*words, env=env, status=2, name="middleware-unknown")


def test_an_organization_that_nobody_knows_is_exit_status_2(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 3})
    database.record(files)
    recorded.save(data, files)
    words = (*AUDIT, "--data-dir", data, "--organization", "alfa")
    refused(*words, env=database.env, status=2, name="organization-unknown")


def test_options_without_effect_are_refused(database: Bytes, data: Path) -> None:
    data.mkdir()
    words = (*AUDIT, "--data-dir", data, "--sample", "3")
    refused(*words, env=database.env, status=2, name="option-without-effect")
    refused(*AUDIT, "--to", data, "--data-dir", data, env=database.env, status=2, name="option-without-end")


# --- a running Bytes -------------------------------------------------------------------------------------------------


def test_a_running_bytes_is_asked_for_a_sample(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 30, "b1": 10})
    files[3] = recorded.without_hash(files[3])
    database.record(files)
    recorded.save(data, files)
    altered, refused_, absent, broken = files[5], files[6], files[35], files[36]
    contents = {one.row.raw_id: one.content for one in files}
    contents[altered.row.raw_id] += b"!"
    del contents[absent.row.raw_id]
    with running_bytes(
        contents=contents, statuses={refused_.row.raw_id: 500}, broken={broken.row.raw_id}, token_uses=7
    ) as service:
        env = {**database.env, **service.env}
        words = ("--data-dir", data, "--api", service.url, "--sample", "40", "--seed", "3")
        document = run(*AUDIT, *words, env=env, status=1, secrets=(PASSWORD,))
        assert set(service.asked) == {one.row.raw_id for one in files}
        few = ("--data-dir", data, "--api", f"{service.url}/", "--sample", "5", "--seed", "11")
        first, second = (command.run(*AUDIT, *few, env=env, secrets=(PASSWORD,)).json()["api"] for _ in range(2))
        text = command.run("audit", *words, env=env, secrets=(PASSWORD,)).expect(1).stdout
    replies = {name: count["files"] for name, count in document["api"]["replies"].items()}
    assert replies == {"proven": 35, "unhashed": 1, "altered": 1, "refused": 2, "silent": 1}
    assert named(document, "api") == names([altered, refused_, absent, broken])
    statuses = {found["id"]: found["status"] for found in document["api"]["raw_files"]}
    assert statuses[refused_.row.raw_id] == 500
    assert statuses[absent.row.raw_id] == 404
    assert document["api"]["seed"] == 3
    assert ends.files(document) == {"rows": 40, "readable": 40, "unhashed": 1}
    assert len(first["raw_files"]) == 5
    assert first == second
    assert "35 came as recorded" in text


def test_a_running_bytes_that_answers_all_is_exit_status_0(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 8})
    database.record(files)
    recorded.save(data, files)
    with running_bytes(contents={one.row.raw_id: one.content for one in files}) as service:
        env = {**database.env, **service.env}
        document = run(*AUDIT, "--data-dir", data, "--api", service.url, env=env, status=0)
    assert document["api"]["replies"]["proven"] == {"files": 8, "bytes": sum(len(one.content) for one in files)}


def test_a_bytes_that_cannot_be_asked_is_refused_before_anything_is_read(database: Bytes, data: Path) -> None:
    data.mkdir()
    words = (*AUDIT, "--data-dir", data, "--api")
    with running_bytes() as service:
        env = {**database.env, **service.env}
        secret = "another-password"
        wrong = {**env, "BYTES_PASSWORD": secret}
        refused(*words, service.url, env=wrong, status=3, name="api-denied", secrets=(secret,))
        refused(*words, f"{service.url}/elsewhere", env=env, status=3, name="api-not-bytes", secrets=(PASSWORD,))
        closed = service.url
    refused(*words, closed, env=env, status=3, name="api-unreachable", secrets=(PASSWORD,))
    refused(*words, closed, env={**env, "BYTES_PASSWORD": None}, status=2, name="api-login-missing")
    for url in (
        "localhost:8002",
        "ftp://h/",
        "http://",
        f"http://u:{secret}@h",
        "http://h:port",
        "http://[h",
        "http://h/?a=b",
    ):
        refused(*words, url, env=env, status=2, name="api-invalid", secrets=(secret,))


# --- more of what can be in a database -------------------------------------------------------------------------------


def test_times_without_a_zone_count_as_utc(postgres: Postgres, data: Path) -> None:
    """The server's own zone is Asia/Kathmandu; neither it nor this machine's makes a difference."""
    naive = Bytes(postgres, postgres.fresh_database(TABLES.replace("ended_at timestamptz", "ended_at timestamp")))
    files = recorded.saved({"alpha": 20})
    in_utc = [
        replace(one, row=replace(one.row, ended_at=one.row.ended_at.astimezone(timezone.utc).replace(tzinfo=None)))
        for one in files
        if one.row.ended_at is not None
    ]
    naive.record(in_utc)
    recorded.save(data, files)
    document = run(*CONTENT, "--data-dir", data, env={**naive.env, "TZ": "America/St_Johns"}, status=0)
    assert document["contents"]["proven"]["files"] == 20


def test_the_databases_own_collation_makes_no_difference(postgres: Postgres, data: Path) -> None:
    """By it, é stands beside e and _ before -; a store lists by bytes."""
    tables = TABLES.replace("organization varchar(32)", 'organization varchar(32) COLLATE "unicode"')
    sorted_otherwise = Bytes(postgres, postgres.fresh_database(tables))
    files = recorded.saved({"a-b": 3, "a_c": 3, "ab": 3, "éa": 3, "za": 3})
    sorted_otherwise.record(files)
    recorded.save(data, files)
    document = run(*AUDIT, "--data-dir", data, env=sorted_otherwise.env, status=0)
    assert ends.files(document) == {"rows": 15, "readable": 15}


def test_odd_rows_are_unhashed_and_end_nothing(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 6})
    digest, ended_at = files[0].row.secure_hash, files[0].row.ended_at
    odd = [(None, ended_at), ("", ended_at), ("md5:00", ended_at), (digest, None), (None, None)]
    for number, (secure_hash, time) in enumerate(odd, 1):
        files[number] = replace(files[number], row=replace(files[number].row, secure_hash=secure_hash, ended_at=time))
    database.record(files)
    recorded.save(data, files)
    for words in (AUDIT, CONTENT):
        document = run(*words, "--data-dir", data, env=database.env, status=0)
        assert ends.files(document) == {"rows": 6, "readable": 6, "unhashed": 5}
        assert named(document, "unhashed") == names(files[1:])
    with contextlib.closing(database.postgres.connect(database.name)) as connection:
        connection.execute("UPDATE boefje_meta SET ended_at = 'infinity'")
    document = run(*CONTENT, "--data-dir", data, env=database.env, status=0)
    assert ends.files(document) == {"rows": 6, "readable": 6, "unhashed": 6}


def test_the_database_is_only_read_and_closed_when_an_audit_ends_early(database: Bytes, data: Path) -> None:
    files = recorded.saved({"alpha": 50})
    database.record(files)
    with reading_database(dsn_of(database.env["BYTES_DB_URI"], "test")) as opened:
        rows = opened.rows(Wanted())
        next(rows)
        with contextlib.closing(database.postgres.connect()) as connection:
            seen = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'idle in transaction'",
                (database.name,),
            ).fetchone()
            assert seen == (1,)
    rows.close()


@pytest.mark.slow
@pytest.mark.parametrize("boxed", [False, True], ids=["plain", "boxed"])
def test_one_damaged_file_in_20000_is_found(boxed: bool, database: Bytes, data: Path) -> None:
    files = sorted(recorded.saved({"alpha": 12_000, "b1": 8_000}), key=lambda one: one.name)
    database.record(files)
    recorded.save(data, files, boxed=boxed)
    env = {**database.env, **(recorded.box_settings() if boxed else {})}
    whole = [one for one in files if len(one.content) > 100]
    flipped, truncated, emptied, gone, doubled, *swapped = (whole[number * 2000] for number in range(7))
    paths = {one.name: recorded.path_of(data, one) for one in files}
    for one, damage in (
        (flipped, _with_a_bit_flipped),
        (truncated, lambda content: content[:-1]),
        (emptied, lambda _: b""),
    ):
        intact = paths[one.name].read_bytes()
        paths[one.name].write_bytes(damage(intact))
        document = run(*CONTENT, "--data-dir", data, env=env, status=1)
        assert named(document, "undecodable" if boxed else "altered") == {one.name}
        assert document["contents"]["proven"]["files"] == len(files) - 1
        paths[one.name].write_bytes(intact)
    first, second = (paths[one.name].read_bytes() for one in swapped)
    paths[swapped[0].name].write_bytes(second)
    paths[swapped[1].name].write_bytes(first)
    paths[gone.name].unlink()
    copy = corpus.add_raw_file(data, "alpha", paths[doubled.name].read_bytes())
    document = run(*CONTENT, "--data-dir", data, env=env, status=1)
    assert named(document, "altered") == names(swapped)
    assert named(document, "missing") == {gone.name}
    assert named(document, "orphaned") == {("alpha", copy.name)}
    assert document["contents"]["proven"]["files"] == len(files) - 3


def test_what_the_extras_bring_is_loaded_by_nobody_else() -> None:
    probe = "import migrator.cli.main, sys; print([name for name in ('psycopg', 'nacl') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("missing", "words", "name"), [
    ("psycopg", AUDIT, "postgres-missing"),
    ("nacl", CONTENT, "nacl-missing"),
])  # fmt: skip
def test_a_missing_extra_is_one_sentence(
    missing: str, words: tuple[str, ...], name: str, database: Bytes, data: Path, tmp_path: Path
) -> None:
    data.mkdir()
    blind = tmp_path / "blind" / missing
    blind.mkdir(parents=True)
    (blind / "__init__.py").write_text("raise ImportError('not installed')\n")
    path = os.pathsep.join([str(blind.parent), os.environ.get("PYTHONPATH", "")])
    env = {**database.env, **recorded.box_settings(), "PYTHONPATH": path}
    done = refused(*words, "--data-dir", data, env=env, status=3, name=name)
    assert "pip install" in done.stderr
