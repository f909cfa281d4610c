"""What the demo shows, step by step: the real commands, as an operator types them, and an independent comparison of what they did."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import migrator
from migrator.app.demo.sample import OWN_BYTES, OWN_FILES, DemoStore, copy_from, make_up, tree_of
from migrator.app.demo.server import NO_AWS_FILES, s3_server
from migrator.core.errors import CannotStart, SettingsError
from migrator.reports.formatting import files, number, plural, shown, size

ENV_FILE = "bytes.env"
STATE = "state"
_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_", "TERM", "TMPDIR", "COLUMNS", "LINES", "NO_COLOR", "VIRTUAL_ENV", "TZ")
_DIFFERENCES_SHOWN = 10
_POLL_SECONDS = 0.2
_DRAIN_SECONDS = 15.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    """What was asked for. `folder` None: a temporary one. `data_dir`: take the sample from there."""

    files: int
    folder: Path | None
    data_dir: Path | None
    keep: bool


def show(wish: DemoRequest, say: Say, stopping: threading.Event) -> int:
    """Show everything, or until `stopping` is set; 0 only if all that was compared is equal. Raises MigratorError."""
    _refuse_own_folder(wish)
    with s3_server() as url, _folder(wish.folder) as folder:
        tour = _Tour(folder, url, say, stopping)
        tour.begin(wish)
        is_equal = tour.move() and tour.compare()
        say("")
        if wish.keep and not stopping.is_set():
            tour.keep()
            say("")
    say("Server and folders were removed.")
    if is_equal:
        _say_what_next(say)
    return 0 if is_equal else 1


class _Tour:
    def __init__(self, folder: Path, url: str, say: Say, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._folder = folder
        self._url = url
        self._say = say
        self._data = folder / "data"
        self._back = folder / "back"
        self._sample = DemoStore(root=self._data, organizations=0, files=0, bytes=0)

    def begin(self, wish: DemoRequest) -> None:
        """Make the sample store and Bytes' settings for it."""
        say = self._say
        if wish.data_dir is None:
            self._sample = make_up(self._data, wish.files)
        else:
            say(f"Copying a sample of {shown(str(wish.data_dir))}; nothing is written there.")
            self._sample = copy_from(wish.data_dir, self._data)
        sample = self._sample
        strays = f", and {len(sample.strays)} strays that are no raw files" if sample.strays else ""
        say(
            f"Sample store: {files(sample.files)} of {plural(sample.organizations, 'organization')}, "
            f"{size(sample.bytes)}{strays}, in {shown(str(self._data))}"
        )
        if sample.left_out:
            say(
                f"  (not all of yours: {OWN_FILES} files and {size(OWN_BYTES)} at most, as the demo's server keeps all in memory)"
            )
        say(f"S3 server:    moto's, inside this program, at {self._url}")
        self._write_settings()
        say(f"Settings of Bytes, as they would be with S3 switched on, in {ENV_FILE}:")
        for line in (self._folder / ENV_FILE).read_text().splitlines():
            say(f"    {line}")

    def move(self) -> bool:
        """Disk to S3, once more, and back into a fresh folder; whether each command ended with 0."""
        return (
            self._run("Look first: nothing is written.", "plan", "--env-file", ENV_FILE, "--to", "s3")
            and self._run("Then move.", "migrate", "--env-file", ENV_FILE, "--to", "s3", "--yes")
            and self._run(
                "Once more: what is there already is compared, not copied.",
                *("migrate", "--env-file", ENV_FILE, "--to", "s3", "--yes"),
            )
            and self._run(
                "And back again, from S3 into a fresh folder.",
                *("migrate", "--env-file", ENV_FILE, "--from", "s3", "--to", "./back", "--yes"),
            )
            and self._run("What happened, from the ledgers.", "status")
        )

    def compare(self) -> bool:
        """Hold the two trees against each other; tell the first differences."""
        say = self._say
        say("")
        say("# Compared by this demo itself: SHA-256 and modes of everything in data/ and in back/.")
        here, there = tree_of(self._data, self._sample.strays), tree_of(self._back)
        different = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
        for name in different[:_DIFFERENCES_SHOWN]:
            say(
                f"  different: {shown(name)}: {here.get(name, 'missing')} in data/, {there.get(name, 'missing')} in back/"
            )
        if different:
            say(f"NOT EQUAL: {plural(len(different), 'difference')} between data/ and back/.")
            return False
        compared = sum(1 for _, digest in here.values() if digest != "folder")
        say(f"Equal: all {files(compared)} and {number(len(here) - compared)} folders, content and modes.")
        say(
            "Shown: from disk to S3 and back every raw file is the same, byte for byte. The second run had nothing to copy."
        )
        if self._sample.strays:
            say(
                f"The {len(self._sample.strays)} strays were named and left where they are. Nothing was removed anywhere."
            )
        return True

    def keep(self) -> None:
        """Leave all of it up until Ctrl-C."""
        say, quoted = self._say, shlex.quote
        say("Server and folders stay until Ctrl-C. In another terminal:")
        say(f"    cd {quoted(str(self._folder))}")
        if shutil.which("bytes-migrator") is None:
            say(f"    export PATH={quoted(os.path.dirname(sys.executable))}:$PATH")
        say(f"    export BYTES_MIGRATOR_ENV_FILE={quoted(str(self._folder / ENV_FILE))}")
        say(f"    export BYTES_MIGRATOR_STATE_DIR={quoted(str(self._folder / STATE))}")
        say("and then, for example:")
        say("    bytes-migrator status")
        say("    bytes-migrator plan --from s3 --to 's3://demo-{organization}'       a bucket for each organization")
        say("    bytes-migrator migrate --from s3 --to 's3://demo-{organization}'    … and do it")
        while not self._stopping.wait(_POLL_SECONDS):
            pass

    def _write_settings(self) -> None:
        path = str(self._data).replace("\\", "\\\\").replace('"', '\\"')
        lines = (
            f'BYTES_DATA_DIR="{path}"',
            "S3_BUCKET=openkat-raw-files",
            "BUCKET_PER_ORG=false",
            f"AWS_ENDPOINT_URL={self._url}",
            "AWS_DEFAULT_REGION=us-east-1",
            "AWS_ACCESS_KEY_ID=demo",
            "AWS_SECRET_ACCESS_KEY=demo-demo",
        )
        path_of_settings = self._folder / ENV_FILE
        path_of_settings.touch(0o600)
        path_of_settings.write_text("\n".join(lines) + "\n")

    def _run(self, title: str, *words: str) -> bool:
        self._say("")
        self._say(f"# {title}")
        self._say(f"$ bytes-migrator {shlex.join(words)}")
        status = self._wait_for([sys.executable, "-m", "migrator", *words])
        if status != 0 and not self._stopping.is_set():
            self._say(f"That ended with exit status {status}, not 0; the demo stops here.")
        return status == 0 and not self._stopping.is_set()

    def _wait_for(self, command: list[str]) -> int:
        """Run it to its end; none of its files may be removed while it is alive, however this ends."""
        if self._stopping.is_set():
            return 1
        with subprocess.Popen(command, cwd=self._folder, env=self._environment()) as process:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(_POLL_SECONDS)
                if self._stopping.is_set():
                    process.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        return process.wait(_DRAIN_SECONDS)
                    process.kill()

    def _environment(self) -> dict[str, str]:
        """Nothing of the reader's own settings: no AWS files, no proxy, no state folder."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
        return kept | {
            "PYTHONPATH": str(Path(migrator.__file__).parent.parent),
            "BYTES_MIGRATOR_STATE_DIR": str(self._folder / STATE),
            "AWS_EC2_METADATA_DISABLED": "true",
            "BYTES_MIGRATOR_OWNER": str(
                os.geteuid()
            ),  # no Bytes reads the sample; as root, its user would have to be named
            **NO_AWS_FILES,
        }


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Yield an empty folder, and leave it behind as if it had never been used.

    Raises:
        CannotStart: If it cannot be used.
        SettingsError: If it is not empty.
    """
    if given is None:
        with tempfile.TemporaryDirectory(prefix="bytes-migrator-demo-") as temporary:
            yield Path(temporary)
        return
    is_new = not given.exists()
    try:
        given.mkdir(exist_ok=True)
        is_empty = next(given.iterdir(), None) is None
    except OSError as error:
        raise CannotStart(
            "demo-folder", f"The folder {given} cannot be used: {error.strerror}.", cure="Name another with --dir."
        ) from error
    if not is_empty:
        raise SettingsError(
            "demo-folder-not-empty",
            f"The folder {given} is not empty.",
            why="The demo removes what it made there, and nothing else.",
            cure="Name an empty or new folder with --dir, or leave it out.",
        )
    try:
        yield given.absolute()
    finally:
        for name in ("data", "back", STATE):
            shutil.rmtree(given / name, ignore_errors=True)
        (given / ENV_FILE).unlink(missing_ok=True)
        if is_new:
            with suppress(OSError):  # something of the reader's lies there by now
                given.rmdir()


def _refuse_own_folder(wish: DemoRequest) -> None:
    if wish.folder is None or wish.data_dir is None:
        return
    folder, data = Path(os.path.realpath(wish.folder)), Path(os.path.realpath(wish.data_dir))
    if data in (folder, *folder.parents):
        raise SettingsError(
            "demo-folder-in-data",
            f"The folder {wish.folder} lies in the data folder {wish.data_dir}.",
            why="The demo writes nothing into your data folder.",
            cure="Name another with --dir, or leave it out.",
        )


def _say_what_next(say: Say) -> None:
    say("To try next:")
    say("    the same with --keep             server and folders stay up, for commands of your own")
    say("    the same with --data-dir DIR     a sample of your own raw files; they are only read")
    say(
        "    bytes-migrator plan --to s3      your own store, once Bytes' S3 settings are set (README.md); writes nothing"
    )
