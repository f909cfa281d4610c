"""nginx before the S3 server while it reads through: its file, put in place and taken back, and the commands that test and reload it.

The file from before is kept in the state folder, not beside the file: nginx may read all of that folder.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from migrator.core.errors import CannotStart, MigratorError, MustStop
from migrator.core.read_through_header import HEADER, is_read_through
from migrator.doctor.nginx_lines import without_reading_through
from migrator.ledger.directory import sync_folder
from migrator.switch.commands import run
from migrator.switch.settings_store import digest
from migrator.switch.whole_file import write_like

_FILE_MODE, _BACKUP_MODE = 0o644, 0o600
_ASK_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """nginx' `file`, and the shell commands `test` and `reload`. `backup` is where the file from before is kept.

    `endpoint_url`: where Bytes reaches it. `digest_on`: of the file's content while it reads through. `is_new`: there was no such file.
    """

    file: Path
    test: str
    reload: str
    backup: Path
    endpoint_url: str
    digest_on: str
    is_new: bool

    def spec(self) -> Mapping[str, str]:
        """Return what the journal keeps to make this again."""
        record = {name: str(getattr(self, name)) for name in self.__slots__}
        return record | {"is_new": "yes" if self.is_new else ""}

    @staticmethod
    def of(record: Mapping[str, str]) -> Proxy:
        """Inverse of `spec`. Raises KeyError for what is none."""
        known: dict[str, str] = {name: record[name] for name in Proxy.__slots__}
        return Proxy(
            file=Path(known["file"]),
            test=known["test"],
            reload=known["reload"],
            backup=Path(known["backup"]),
            endpoint_url=known["endpoint_url"],
            digest_on=known["digest_on"],
            is_new=bool(known["is_new"]),
        )

    def read(self) -> bytes | None:
        """Return the file's content; None where there is none. Raises CannotStart."""
        return read_file(self.file)

    def refuse_refused(self) -> None:
        """Test the present configuration.

        Raises:
            CannotStart: If nginx refuses it, or cannot be asked.
        """
        ran = run(self.test)
        if not ran.is_well:
            raise CannotStart(
                "read-through-nginx-refuses",
                f"nginx refuses its configuration: {self.test}",
                why=ran.error,
                cure="Fix what it names, or give the test command by --nginx-test. Bytes was not stopped.",
            )

    def install(self, old: bytes | None, on: bytes) -> None:
        """Have nginx read through; a file that nginx refuses is taken back at once.

        Raises:
            CannotStart: If the file cannot be written, is not the `old` one any more, or is refused; or nginx does not reload it.
        """  # noqa: DOC501 made by _unwritable
        try:
            for path, content in ((self.backup, old), (self._copy_on(), on)):
                if content is not None:
                    write_like(path, content, path, mode=_BACKUP_MODE)
            sync_folder(self.backup.parent)
            if self.read() != old:
                raise CannotStart(
                    "read-through-file",
                    f"{self.file} was edited after the plan was shown.",
                    why="The plan no longer fits it. It was not touched.",
                    cure="Look at the change, then rerun: it plans anew.",
                )
            self._replace(on)
        except OSError as error:
            raise _unwritable(self.file, error) from error
        self.refuse_refused()
        self._reload()

    def end(self) -> None:
        """Have nginx read through no more; what else was edited in its file stays. Can be called again and again. Raises MigratorError."""
        self._put(self._without())

    def restore(self) -> None:
        """Put the file back as it was before it read through. Can be called again and again.

        An nginx that cannot be tested or reloaded is no error where it does not read through: it may have been stopped meanwhile.

        Raises:
            MustStop: If the file cannot be put back, or nginx goes on reading through.
        """
        try:
            now, before = self.read(), self._before()
            is_as_it_was = now == before or (now is not None and digest(now) == self.digest_on)
            self._put(before if is_as_it_was else self._without())
        except (MigratorError, OSError) as error:
            if self.read() == self._before() and not self._reads_through():
                return
            reason = error.what if isinstance(error, MigratorError) else str(error.strerror)
            raise MustStop(
                "switch-read-through-left-on",
                f"nginx may still read through; {self.file} is to be as it was before: {reason}",
                why="Bytes has its old settings, without nginx.",
                cure=f"Run `bytes-migrator switch` again; or put the old file back by hand ({self._shown_backup()}),"
                f" then: {self.test} && {self.reload}",
            ) from error

    def _reads_through(self) -> bool:
        """Ask nginx; False where its answer has no header of ours, or nothing listens there."""
        request = urllib.request.Request(self.endpoint_url, method="HEAD")  # noqa: S310 a checked http URL
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=_ASK_SECONDS
            ) as answer:
                return is_read_through(answer.headers.get(HEADER))
        except urllib.error.HTTPError as error:
            return is_read_through(error.headers.get(HEADER))
        except urllib.error.URLError as error:
            return not isinstance(error.reason, ConnectionRefusedError)
        except (OSError, ValueError):
            return True  # nothing is known

    def read_through_again(self) -> None:
        """Put the blocks back that `end` took out. Raises MigratorError."""
        on = read_file(self._copy_on())
        if on is not None:
            self._put(on)

    def tidy(self) -> None:
        """Remove the copies of the file in the state folder."""
        for path in (self.backup, self._copy_on()):
            with suppress(OSError):
                path.unlink()

    def _before(self) -> bytes | None:
        return None if self.is_new else read_file(self.backup)

    def _without(self) -> bytes | None:
        now = self.read()
        return _without_blocks(now) if now is not None else None

    def _copy_on(self) -> Path:
        return self.backup.with_name(f"{self.backup.name}.on")

    def _shown_backup(self) -> str:
        return "there was none" if self.is_new else str(self.backup)

    def _put(self, content: bytes | None) -> None:
        """Give the file this content, test it and have nginx reload it, also where it has it already: nginx may not.

        Raises:
            CannotStart: If one of that fails.
        """  # noqa: DOC501 made by _unwritable
        try:
            if self.read() != content:
                self._replace(content)
        except OSError as error:
            raise _unwritable(self.file, error) from error
        self.refuse_refused()
        self._reload()

    def _replace(self, content: bytes | None) -> None:
        """Replace the file; None removes it. nginx reads no file whose name begins with a dot. Raises OSError."""
        real = self.file.resolve()
        if content is None:
            real.unlink(missing_ok=True)
        else:
            temporary = real.with_name(f".{real.name}.switch-{hashlib.sha256(content).hexdigest()[:8]}")
            write_like(temporary, content, real, mode=_FILE_MODE)
            temporary.replace(real)
        sync_folder(real.parent)

    def _reload(self) -> None:
        ran = run(self.reload)
        if not ran.is_well:
            raise CannotStart(
                "read-through-not-loaded",
                f"nginx did not reload its configuration: {self.reload}",
                why=ran.error,
                cure="Check that nginx runs, or give the reload command by --nginx-reload.",
            )


def _without_blocks(content: bytes) -> bytes:
    """Raises SettingsError where a block has no end."""
    text = content.decode(errors="surrogateescape")
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    lines = without_reading_through(text.split(end_of_line))
    return end_of_line.join(lines).encode(errors="surrogateescape")


def read_file(path: Path) -> bytes | None:
    """Return a file's content; None where there is none.

    Raises:
        CannotStart: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotStart(
            "read-through-file",
            f"nginx' file {path} cannot be read: {error.strerror}.",
            cure="Name it with --nginx-file, and run this as a user who may read and replace it.",
        ) from error


def _unwritable(path: Path, error: OSError) -> CannotStart:
    return CannotStart(
        "read-through-file",
        f"nginx' file {path} cannot be replaced: {error.strerror} ({error.filename or path.parent}).",
        why="A new file beside it takes its name. Bytes was not stopped.",
        cure="Make room, run this as root, or name another file by --nginx-file.",
    )
