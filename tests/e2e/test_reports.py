"""Reports as files, from the ledger, as metrics, as events, and to a command that is told of the end."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import hashlib
import io
import json
import os
import pty
import stat
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.servers import PrivateServer, S3Server

pytestmark = pytest.mark.one_process

ROOT = Path(__file__).parents[2]
SCHEMA = Draft202012Validator(json.loads((ROOT / "docs" / "report.schema.json").read_text()))
FILES = {"report.html", "report.json", "organizations.csv", "files.ndjson", "files.txt"}
RAW_ID = "0123abcd-1111-4222-8333-444455556666"
EXTRA_ID = "fedc9876-1111-4222-8333-444455556666"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def ends_of(data: Path, target: Path) -> tuple[str, ...]:
    """Two data folders: one conflict, one extra, one stray, and the rest to be copied."""
    corpus.make_store(data, {"alpha": 20, "beta": 10})
    corpus.add_raw_file(data, "alpha", b"one thing", RAW_ID)
    (data / "alpha" / "=cmd.txt").write_text("a stray")
    corpus.add_raw_file(target, "alpha", b"another", RAW_ID)
    corpus.add_raw_file(target, "alpha", b"only here", EXTRA_ID)
    return ("--from", f"{data}/", "--to", f"{target}/")


def metrics_in(path: Path) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def file_list(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "files.ndjson").read_text().splitlines()]


def test_verify_audit_and_prune_write_their_report_too(
    ends_of: tuple[str, ...], data: Path, tmp_path: Path, state: Path
) -> None:
    for root in map(Path, ends_of[1::2]):  # met before anything else
        (root / "notes.txt").write_text("beside the organizations")
        (root / "org:anization").mkdir()
    rows = tmp_path / "rows.csv"
    rows.write_text(f"id,organization,secure_hash,ended_at\n{EXTRA_ID},alpha,,\n")
    place = tmp_path / "bytes.env"
    place.write_text(f"BYTES_DATA_DIR={ends_of[3]}\n")
    words_of = {
        "verify": ends_of,
        "audit": ("--to", ends_of[3], "--database", rows),
        "prune": (*ends_of, "--env-file", place, "--yes"),
    }
    runs: dict[str, str] = {}
    for name, words in words_of.items():
        folder = tmp_path / name
        done = command.run(name, "--json", *words, "--report", folder)
        assert done.status in (0, 1), done.stderr
        assert {path.name for path in folder.iterdir()} == FILES
        document = json.loads((folder / "report.json").read_text())
        assert document == done.json(), "stdout and file are one report"
        page = (folder / "report.html").read_text()
        assert '<h2 id="problems">What needs a look</h2>' in page
        assert "alpha," in (folder / "organizations.csv").read_text()
        listed = {line["where"] for line in file_list(folder)}
        assert {problem["where"] for problem in document["problems"]} <= listed
        assert listed
        runs[name] = document["run"]
    assert "Level etag" in command.run("report", runs["verify"], "--format", "html").expect(0).stdout


def test_a_dry_run_writes_its_report_and_nothing_else(
    ends_of: tuple[str, ...], data: Path, target: Path, state: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a" / "report"
    with oracle.nothing_written(data, target, state):
        done = command.run("plan", "--json", *ends_of, "--report", folder).expect(1)
    assert {path.name for path in folder.iterdir()} == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    document = json.loads((folder / "report.json").read_text())
    SCHEMA.validate(document)
    SCHEMA.validate(done.json())
    assert document == done.json(), "stdout and file are one report"
    assert {line["sign"] for line in file_list(folder)} == {"*", "-", "!"}
    assert sorted((folder / "files.txt").read_text().splitlines()) == [
        f"! {data}/alpha/=cmd.txt",
        f"* alpha/{RAW_ID}",
        f"- alpha/{EXTRA_ID}",
    ]
    for file in document["evidence"]:
        assert hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest() == file["sha256"]
        assert file["lines"] == 3
    estimate = document["estimate"]
    assert estimate["free_bytes"] > estimate["free_bytes_after"] > 0
    assert estimate["free_inodes"] - estimate["free_inodes_after"] >= 30, "an inode for each file, and for its folders"
    assert 0 < estimate["seconds"]["fast"] <= estimate["seconds"]["slow"]
    html = (folder / "report.html").read_text()
    assert "http://" not in html
    assert "https://" not in html
    assert RAW_ID in html


def test_estimates_of_requests_on_s3(server: S3Server, fresh_names: FreshNames, data: Path) -> None:
    corpus.make_store(data, {"alpha": 20}, large=[20 * corpus.MIB])
    to = ends.template(ends.single(fresh_names))
    done = command.run("plan", "--json", "--from", f"{data}/", "--to", to, env=server.env()).expect(0)
    requests = done.json()["estimate"]["requests"]
    files = done.json()["totals"]["missing"]["files"]
    assert (requests["put"], requests["multipart"], requests["part"]) == (files - 1, 2, 3)
    assert requests["create_bucket"] == 1
    assert requests["total"] == sum(count for name, count in requests.items() if name != "total")
    assert any("measured latency" in told for told in done.json()["estimate"]["rests_on"])
    command.run("migrate", "--yes", "--json", "--from", f"{data}/", "--to", to, env=server.env()).expect(0)
    back = command.run("plan", "--json", "--from", to, "--to", f"{data}-back/", env=server.env()).expect(0)
    assert back.json()["estimate"]["requests"]["get"] == files - 1 + 3
    assert any("MB a second" in told for told in back.json()["estimate"]["rests_on"])


def test_a_run_is_reported_now_and_later_in_all_forms(ends_of: tuple[str, ...], data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    done = command.run("migrate", "--yes", "--json", *ends_of, "--report", folder).expect(1)
    document = done.json()
    SCHEMA.validate(document)
    assert document == json.loads((folder / "report.json").read_text())
    assert document["sizes"]
    assert sum(size["files"] for size in document["sizes"]) == document["totals"]["discovered"]["files"]
    assert sum(month["files"] for month in document["months"]) == document["totals"]["discovered"]["files"]
    assert sum(step["moved"] for step in document["course"]["steps"]) == document["totals"]["copied"]["files"]
    assert {group["kind"] for group in document["problem_groups"]} == {"stray", "conflict"}
    run = document["run"]
    later = command.run("report", run, "--format", "json").expect(0).json()
    for name in ("seconds", "started", "evidence"):
        del document[name], later[name]
    assert later == document
    assert command.run("report", run, "--json").expect(0).json()["totals"] == document["totals"]
    text = command.run("report", run).expect(0).stdout
    assert "1 in conflict" in text
    rows = list(csv.DictReader(io.StringIO(command.run("report", "--format", "csv").expect(0).stdout)))
    assert [row["organization"] for row in rows] == ["alpha", "beta", "(all organizations)"]
    assert rows[-1]["copied_files"] == "30"
    assert (folder / "organizations.csv").read_text().splitlines()[1:] == [",".join(row.values()) for row in rows]
    html = command.run("report", run, "--format", "html").expect(0).stdout
    assert html.startswith("<!DOCTYPE html>")
    assert run in html


def test_a_run_that_is_not_known(ends_of: tuple[str, ...]) -> None:
    assert "run-unknown" in command.run("report").expect(2).stderr
    command.run("migrate", "--yes", *ends_of).expect(1)
    done = command.run("report", "nonsense", "--json").expect(2)
    assert done.json()["error"]["name"] == "run-unknown"


@pytest.mark.parametrize("where", [".", "alpha", "alpha/new/folder"])
def test_no_report_is_written_into_a_data_folder(
    where: str, ends_of: tuple[str, ...], data: Path, target: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(data)
    for folder in (data / where, target / where, link / where):
        with oracle.nothing_written(data, target):
            done = command.run("migrate", "--yes", "--json", *ends_of, "--report", folder).expect(2)
        assert done.json()["error"]["name"] == "report-in-data-folder"
    metrics = link / where / "m.prom"
    with oracle.nothing_written(data, target):
        done = command.run("plan", "--json", *ends_of, "--metrics-file", metrics).expect(2)
    assert done.json()["error"]["name"] == "report-in-data-folder"


def test_a_folder_that_cannot_be_written_is_told_before_anything_begins(
    ends_of: tuple[str, ...], target: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for words, name in (
        (("--report", tmp_path / "file" / "x"), "report-unwritable"),
        (("--metrics-file", tmp_path / "no" / "m.prom"), "metrics-file"),
    ):
        with oracle.nothing_written(target):
            done = command.run("migrate", "--yes", "--json", *ends_of, *words).expect(3)
        assert done.json()["error"]["name"] == name


def test_what_could_not_start_leaves_no_half_report(data: Path, tmp_path: Path) -> None:
    folder, metrics, told = tmp_path / "report", tmp_path / "m.prom", tmp_path / "told"
    data.mkdir()
    words = ("--from", f"{data}/", "--to", f"{tmp_path}/t/", "--report", folder, "--metrics-file", metrics)
    command.run("migrate", "--yes", *words, "--on-finish", f"echo $BYTES_MIGRATOR_STATUS > {told}").expect(3)
    assert list(folder.iterdir()) == []
    assert told.read_text() == "3\n"
    found = metrics_in(metrics)
    assert found["bytes_migrator_exit_status",] == 3
    assert ("bytes_migrator_last_success_timestamp_seconds",) not in found


def test_metrics_and_the_command_at_the_end(ends_of: tuple[str, ...], data: Path, tmp_path: Path) -> None:
    metrics, told, folder = tmp_path / "bytes.prom", tmp_path / "told", tmp_path / "report"
    say = f'echo "$BYTES_MIGRATOR_COMMAND $BYTES_MIGRATOR_STATUS $BYTES_MIGRATOR_RUN_ID $BYTES_MIGRATOR_REPORT_PATH" > {told}; echo out'
    words = ("--metrics-file", metrics, "--on-finish", say, "--report", folder, "--json")
    done = command.run("migrate", "--yes", *ends_of, *words).expect(1)
    run = done.json()["run"]
    assert told.read_text() == f"migrate 1 {run} {folder}/report.html\n"
    found = metrics_in(metrics)
    for row in done.json()["organizations"]:
        for outcome in ("copied", "present", "failed"):
            for unit in ("files", "bytes"):
                assert found[f"bytes_migrator_{unit}", row["organization"], outcome] == row[outcome][unit]
    assert found["bytes_migrator_errors", "conflict"] == 1
    assert found["bytes_migrator_running",] == 0
    assert found["bytes_migrator_exit_status",] == 1
    assert found["bytes_migrator_run_info", "migrate", run] == 1
    assert found["bytes_migrator_files_per_second",] > 0
    assert [path.name for path in tmp_path.glob("bytes.prom*")] == ["bytes.prom"]
    (data / "alpha" / RAW_ID[:3] / RAW_ID).unlink()
    command.run("migrate", "--yes", *ends_of, *words).expect(0)
    success = metrics_in(metrics)["bytes_migrator_last_success_timestamp_seconds",]
    corpus.add_raw_file(data, "alpha", b"one thing", RAW_ID)
    command.run("migrate", "--yes", *ends_of, *words).expect(1)
    assert metrics_in(metrics)["bytes_migrator_last_success_timestamp_seconds",] == success


def test_a_command_at_the_end_that_fails_changes_nothing(ends_of: tuple[str, ...]) -> None:
    done = command.run("plan", "--json", *ends_of, "--on-finish", "exit 7").expect(1)
    assert "status 7" in done.stderr
    done.json()


def test_every_line_on_stderr_is_an_event_where_that_was_asked_for(
    ends_of: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    done = command.run("migrate", "--yes", *ends_of, "-v", "--log-format", "json", "--log-file", log).expect(1)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(event["event"] and event["time"] for event in events)
    [conflict] = [event for event in events if event.get("kind") == "conflict"]
    assert (conflict["organization"], conflict["id"]) == ("alpha", RAW_ID)
    assert "left alone" in conflict["next"]
    assert events[-1]["event"] == "ended"
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["problem", "problem"]
    wrong = command.run("migrate", "--yes", "--from", f"{data}/no/", "--to", "s3", "--log-format=json")
    assert json.loads(wrong.stderr.splitlines()[-1])["event"] == "error"


def test_a_failure_on_s3_is_one_line_with_what_the_server_needs_to_know(
    weed: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    corpus.make_store(data, {"alpha": 5})
    naming = ends.single(fresh_names)
    ends.make_bucket(weed.client(), fresh_names.bucket)
    ends.put(weed.client(), naming, "alpha", RAW_ID, b"something else")
    corpus.add_raw_file(data, "alpha", b"one thing", RAW_ID)
    words = ("--from", f"{data}/", "--to", ends.template(naming), "-v", "--no-progress")
    done = command.run("migrate", "--yes", *words, env=weed.env()).expect(1)
    [line] = [line for line in done.stderr.splitlines() if "conflict" in line]
    for word in ("alpha", RAW_ID, f"s3://{fresh_names.bucket}/alpha/{RAW_ID}", "next: "):
        assert word in line
    assert len(line) < 2_500


def test_a_run_that_was_killed_has_a_report_of_what_it_did(ends_of: tuple[str, ...], state: Path) -> None:
    command.run("migrate", "--yes", "--json", *ends_of).expect(1)
    from migrator.ledger.ledger import Ledger  # the ledger as a kill leaves it

    [path] = [path for path in state.iterdir() if path.suffix == ".sqlite3"]
    reading = Ledger.open_to_read(path)
    assert reading is not None
    with reading:
        identities = (reading.source_identity, reading.target_identity)
    with Ledger.open(path, source_identity=identities[0], target_identity=identities[1], now=0.0) as ledger:
        ledger.begin_run("20990101-000000-aaaaaa", "migrate", "a", "b", settings_fingerprint="", started_at=4e9)
    document = command.run("report", "--format", "json").expect(0).json()
    SCHEMA.validate(document)
    assert (document["run"], document["state"]) == ("20990101-000000-aaaaaa", "killed")
    assert "killed perhaps: nothing by then" in command.run("report").expect(0).stdout


def test_watching_ends_with_the_run(ends_of: tuple[str, ...]) -> None:
    command.run("migrate", "--yes", *ends_of).expect(1)
    assert "finished with problems" in command.run("status", "--watch").expect(0).stdout
    [line] = command.run("status", "--watch", "--json").expect(0).stdout.splitlines()
    assert json.loads(line)["pairs"][0]["running"] is False


def test_a_run_that_had_to_stop_is_reported_too(
    private_server: Callable[[str], PrivateServer], fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    """The server goes away for good; what was done by then, and why it ended, is in the files, the ledger and the metrics."""
    server = private_server("moto")
    corpus.make_store(data, {"alpha": 3_000})
    folder, metrics = tmp_path / "report", tmp_path / "m.prom"
    words = ("--from", f"{data}/", "--to", ends.template(ends.single(fresh_names)), "--patience", "1")
    more = ("--report", folder, "--metrics-file", metrics, "--log-format", "json", "--jobs", "4")
    with command.start("migrate", "--yes", "--json", *words, *more, env=server.server.env()) as running:
        assert running.wait_for(lambda: len(oracle.keys(server.server.client(), fresh_names.bucket)) > 20)
        server.kill()
        done = running.finish()
    assert done.status == 3
    name = done.json()["error"]["name"]
    document = json.loads((folder / "report.json").read_text())
    SCHEMA.validate(document)
    oracle.assert_adds_up(document)
    assert (document["stopped"]["name"], document["exit_status"], document["run"] != "") == (name, 3, True)
    assert {path.name for path in folder.iterdir()} == FILES
    assert 'class="verdict bad"' in (folder / "report.html").read_text()
    later = command.run("report", document["run"], "--json").expect(0).json()
    assert later["stopped"] == document["stopped"]
    assert later["totals"] == document["totals"]
    assert metrics_in(metrics)["bytes_migrator_exit_status",] == 3
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events[-2:] == ["ended", "error"]


def test_no_file_of_a_report_holds_a_secret(
    weed: S3Server, fresh_names: FreshNames, data: Path, state: Path, tmp_path: Path
) -> None:
    corpus.make_store(data, {"alpha": 5})
    env = {**weed.env(), **ends.settings(ends.single(fresh_names)), "BYTES_DATA_DIR": str(data)}
    folder, log = tmp_path / "report", tmp_path / "log"
    more = ("--report", folder, "--metrics-file", tmp_path / "m.prom", "--log-file", log, "--log-format", "json", "-v")
    command.run("migrate", "--yes", "--to", "s3", *more, env=env)
    written = [*folder.iterdir(), *state.iterdir(), tmp_path / "m.prom", log]
    assert len(written) >= len(FILES) + 4
    for path in written:
        if path.is_file():
            assert env["AWS_SECRET_ACCESS_KEY"].encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize("size", [(24, 120), (0, 0)])
def test_on_a_terminal_there_is_a_line_with_its_rate_and_no_share_of_what_is_still_counted(
    ends_of: tuple[str, ...], size: tuple[int, int]
) -> None:
    """Some terminals say that they have no rows and columns; tqdm alone would show nothing there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    with subprocess.Popen(
        [*command.program(), "migrate", "--yes", *ends_of], stdout=subprocess.DEVNULL, stderr=theirs
    ) as running:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(ours, 1 << 16):
                seen += more
    os.close(ours)
    assert running.returncode == 1
    text = seen.decode()
    with_share = [shown for shown in text.split("\r") if "%" in shown]
    assert all("of 31 files" in shown for shown in with_share), (
        "a share of less than all, which were still being counted"
    )
    assert "files/s" in text
