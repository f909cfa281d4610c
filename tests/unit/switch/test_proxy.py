"""nginx' file is put in place and taken back whole, at whatever step a switch that reads through was left, and edits are kept."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from migrator.core.errors import CannotStart, MustStop, SettingsError
from migrator.core.naming import SingleBucket
from migrator.doctor.nginx_lines import DataFolder, nginx_lines, reading_through, without_reading_through
from migrator.ledger.directory import StateFolder
from migrator.switch.journal import SwitchEnd, SwitchJournal
from migrator.switch.proxy import Proxy
from migrator.switch.rollback import roll_back
from migrator.switch.settings_store import digest
from migrator.switch.steps import READ_THROUGH_STEPS, SwitchStep
from tests.unit.switch.test_journal import PLAN
from tests.unit.switch.test_settings_file import NEW, OLD

READS = DataFolder(root=Path("/data"), naming=SingleBucket("raw"))
CURE = nginx_lines("http://s3.example:8333")
OFF = ("\n".join(CURE) + "\n").encode()
ON = ("\n".join(reading_through(CURE, READS)) + "\n").encode()


def proxy_in(folder: Path, *, is_new: bool = False, test: str = "true", reload: str = "true") -> Proxy:
    (folder / "nginx").mkdir(exist_ok=True)
    file = folder / "nginx" / "bytes-s3.conf"
    if not is_new:
        file.write_bytes(OFF)
        file.chmod(0o640)
    return Proxy(
        file=file,
        test=test,
        reload=f"{reload} && date >> {folder}/reloads",
        backup=folder / "before.conf",
        endpoint_url="http://127.0.0.1:8334",
        digest_on=digest(ON),
        is_new=is_new,
    )


def test_the_blocks_come_out_as_they_went_in_and_every_other_line_stays() -> None:
    edited = tuple(line.replace("# proxy_ssl_verify", "proxy_ssl_verify") for line in nginx_lines("https://s3.example"))
    edited = (*edited[:-1], "    access_log off;", edited[-1])
    on = reading_through(edited, READS)
    assert without_reading_through(on) == edited
    assert "    access_log off;" in on


@pytest.mark.parametrize(
    "missing", ["location / {", "location @create {", "if ($bytes_creates_a_bucket) { return 418; }"]
)
def test_a_file_without_a_line_that_a_block_belongs_to_is_refused(missing: str) -> None:
    with pytest.raises(SettingsError, match="0 times"):
        reading_through([line for line in CURE if line.strip() != missing], READS)


def test_a_block_without_its_end_is_not_guessed() -> None:
    lines = [line for line in reading_through(CURE, READS) if "end of" not in line]
    with pytest.raises(SettingsError, match="no line"):
        without_reading_through(lines)


@pytest.mark.parametrize("is_new", [False, True])
def test_the_file_is_there_while_it_reads_through_and_as_it_was_after(tmp_path: Path, *, is_new: bool) -> None:
    proxy = proxy_in(tmp_path, is_new=is_new)
    before = proxy.read()
    proxy.install(before, ON)
    assert proxy.read() == ON
    assert Proxy.of(proxy.spec()) == proxy
    for _ in range(2):
        proxy.end()
        assert proxy.read() == OFF
    proxy.read_through_again()
    assert proxy.read() == ON
    for _ in range(2):
        proxy.restore()
        assert proxy.read() == before
    if not is_new:
        assert proxy.file.stat().st_mode & 0o777 == 0o640
    proxy.tidy()
    assert not list(tmp_path.glob("before*"))
    assert [path.name for path in proxy.file.parent.iterdir()] == ([] if is_new else [proxy.file.name])
    assert len((tmp_path / "reloads").read_text().splitlines()) == 6, "nginx is reloaded each time"


def test_what_was_edited_meanwhile_stays(tmp_path: Path) -> None:
    proxy = proxy_in(tmp_path)
    proxy.install(OFF, ON)
    edit = b"    access_log off;\n    location / {"
    proxy.file.write_bytes(ON.replace(b"    location / {", edit))
    proxy.restore()
    assert proxy.read() == OFF.replace(b"    location / {", edit)


def test_a_file_that_was_edited_after_the_plan_is_not_touched(tmp_path: Path) -> None:
    proxy = proxy_in(tmp_path)
    proxy.file.write_bytes(OFF + b"# mine\n")
    with pytest.raises(CannotStart, match="edited after"):
        proxy.install(OFF, ON)
    assert proxy.read() == OFF + b"# mine\n"


@pytest.mark.parametrize(("test", "reload", "error"), [("false", "true", "refuses"), ("true", "false", "not-loaded")])
def test_what_nginx_refuses_is_an_error_that_can_be_restored(
    tmp_path: Path, test: str, reload: str, error: str
) -> None:
    proxy = proxy_in(tmp_path, test=test, reload=reload)
    with pytest.raises(CannotStart) as raised:
        proxy.install(OFF, ON)
    assert error in raised.value.name
    proxy.restore()
    assert proxy.read() == OFF, "nothing listens at its address, so nothing reads through"


@pytest.mark.parametrize("answer", ["read-through", "from-disk", ""])
def test_an_nginx_that_goes_on_reading_through_is_an_error(tmp_path: Path, answer: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(403)
            self.send_header("X-Bytes-Migrator", answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        proxy = dataclasses.replace(
            proxy_in(tmp_path, reload="false"), endpoint_url=f"http://127.0.0.1:{server.server_address[1]}"
        )
        with pytest.raises(CannotStart):
            proxy.install(OFF, ON)
        with pytest.raises(MustStop) if answer else contextlib.nullcontext():
            proxy.restore()
        assert proxy.read() == OFF
        server.shutdown()


BEFORE_PROVEN = list(READ_THROUGH_STEPS)[: list(READ_THROUGH_STEPS).index(SwitchStep.COPY)]


def come_to(last: SwitchStep, folder: Path) -> tuple[SwitchJournal, Proxy, Path]:
    """A switch that reads through and died within this step."""
    settings = folder / "bytes.conf"
    settings.write_bytes(OLD)
    proxy = proxy_in(folder)
    started = {"kind": "own commands", "stop": f"touch {folder}/stopped", "start": f"touch {folder}/started"}
    plan = dataclasses.replace(
        PLAN,
        deployment=started,
        settings={"kind": "file", "path": str(settings)},
        old_digest=digest(OLD),
        new_digest=digest(NEW),
        proxy=proxy.spec(),
    )
    journal = SwitchJournal(StateFolder(folder / "state"))
    (folder / "state").mkdir()
    journal.begin(plan)
    steps = list(READ_THROUGH_STEPS)
    for step in steps[: steps.index(last) + 1]:
        journal.begin_step(step)
        if step is SwitchStep.READ_THROUGH:
            proxy.install(OFF, ON)
        if step is not last:
            journal.end_step(step)
    return journal, proxy, settings


@pytest.mark.parametrize("last", BEFORE_PROVEN, ids=lambda step: step.value)
def test_until_bytes_is_proven_nginx_is_put_back(last: SwitchStep, tmp_path: Path) -> None:
    journal, proxy, settings = come_to(last, tmp_path)
    story = roll_back(journal, lambda text: None, lambda story: None)
    was_stopped = BEFORE_PROVEN.index(last) >= BEFORE_PROVEN.index(SwitchStep.STOP)
    assert story is not None
    assert story.end is (SwitchEnd.ROLLED_BACK if was_stopped else SwitchEnd.UNTOUCHED)
    assert (proxy.read(), settings.read_bytes()) == (OFF, OLD)
    assert not proxy.backup.exists()


@pytest.mark.parametrize(
    "last", [one for one in READ_THROUGH_STEPS if one not in BEFORE_PROVEN], ids=lambda step: step.value
)
def test_once_bytes_is_proven_only_going_back_takes_it_back(last: SwitchStep, tmp_path: Path) -> None:
    journal, proxy, _ = come_to(last, tmp_path)
    story = roll_back(journal, lambda text: None, lambda story: None)
    assert story is not None
    assert story.is_reading_through
    assert not story.is_half_way
    assert proxy.read() == ON
    assert not (tmp_path / "stopped").exists()
    journal.note_going_back()
    story = roll_back(journal, lambda text: None, lambda story: None)
    assert story is not None
    assert story.end is SwitchEnd.ROLLED_BACK
    assert proxy.read() == OFF
