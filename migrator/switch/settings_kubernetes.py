"""The Secret or ConfigMap that Bytes has its environment from, read and replaced by kubectl."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from migrator.config.env_file import Setting
from migrator.config.environment import known_name
from migrator.core.errors import CannotStart, MustStop
from migrator.ledger.directory import sync_folder
from migrator.switch.commands import QUICK_SECONDS, Ran, kubectl, run
from migrator.switch.settings_edit import Wanted
from migrator.switch.settings_store import backup_at, edited_meanwhile


class SettingsObject:
    """`name` is ``secret/NAME`` or ``configmap/NAME``. A content is its data as JSON, decoded; the backup lies in the state folder."""

    def __init__(self, name: str, namespace: str, folder: Path) -> None:
        """`folder` is where the backup goes: a folder for this user alone."""
        self.name, self.namespace, self._folder = name, namespace, folder
        self._is_secret = name.lower().startswith("secret")

    @property
    def where(self) -> str:
        """Return the object's name and namespace."""
        return f"{self.name} in namespace {self.namespace}" if self.namespace else self.name

    def spec(self) -> Mapping[str, str]:
        """Return what the journal keeps to make this again."""
        return {"kind": "kubernetes", "name": self.name, "namespace": self.namespace, "folder": str(self._folder)}

    def read(self) -> bytes:
        """Return the object's data as JSON: names and values, decoded."""
        return self._as_content(self._get())

    def settings(self, content: bytes) -> list[Setting]:
        """Return the settings in this content, in order."""
        return [Setting(name, value, self.where) for name, value in json.loads(content).items()]

    def edited(self, content: bytes, wanted: Wanted) -> bytes:
        """Return the content with these settings changed, and all others as they are."""
        data: dict[str, str] = json.loads(content)
        for name, value in wanted.items():
            present = [one for one in data if known_name(one) == name]
            if value is None:
                for one in present:
                    del data[one]
            else:
                data[present[-1] if present else name] = value
        return _encoded(data)

    def refuse_unwritable(self) -> None:
        """Ask whether the object may be updated.

        Raises:
            CannotStart: If it may not.
        """
        kind = self.name.partition("/")[0]
        if not self._kubectl("auth", "can-i", "update", kind).is_well:
            raise CannotStart(
                "switch-rights",
                f"These credentials may not update {self.where}.",
                why=f"kubectl auth can-i update {kind} says no.",
                cure="Run this with the namespace administrator's rights.",
            )

    def stage(self, old: bytes, new: bytes, run: str) -> None:
        """Write the backup, and look whether the object may be updated.

        Raises:
            CannotStart: If it may not, or the backup cannot be written.
        """
        self.refuse_unwritable()
        path = self._backup(run)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(old)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(path.parent)
        except OSError as error:
            raise CannotStart(
                "switch-settings-unwritable",
                f"The backup {path} cannot be written: {error.strerror}.",
                cure="Make room there, or name another folder by --state-dir.",
            ) from error

    def backup(self, run: str) -> bytes | None:
        """Return the backup's content; None if there is none."""
        return backup_at(self._backup(run))

    def backup_name(self, run: str) -> str:
        """Return the backup's path."""
        return str(self._backup(run))

    def replace(self, old: bytes, new: bytes, run: str) -> None:
        """Replace the object's data.

        The object's resourceVersion goes along: the API server refuses it where somebody else was faster.

        Raises:
            MustStop: If it has not the `old` content any more, or is refused.
        """  # noqa: DOC501 made by edited_meanwhile
        document = self._get()
        if self._as_content(document) != old:
            raise edited_meanwhile(self.where)
        data: dict[str, str] = json.loads(new)
        encode = (lambda value: base64.b64encode(value.encode()).decode()) if self._is_secret else str
        document["data"] = {name: encode(value) for name, value in data.items()}
        ran = self._kubectl("replace", "--filename=-", given=json.dumps(document))
        if not ran.is_well:
            raise MustStop(
                "switch-settings-failed",
                f"{self.where} could not be replaced.",
                why=ran.error,
                cure="Check the rights, and whether it is immutable.",
            )

    def tidy(self, run: str, *, keep_backup: bool) -> None:
        """Remove the backup unless it is kept; nothing else is staged."""
        if not keep_backup:
            with suppress(OSError):
                self._backup(run).unlink()

    def _backup(self, run: str) -> Path:
        return self._folder / f"{self.name.replace('/', '-')}.before-switch-{run}.json"

    def _get(self) -> dict[str, Any]:
        ran = self._kubectl("get", self.name, "--output=json")
        try:
            document = json.loads(ran.output)
        except ValueError:
            document = None
        if not ran.is_well or not isinstance(document, dict):
            raise CannotStart(
                "switch-settings-unreadable",
                f"Bytes' settings in {self.where} cannot be read.",
                why=ran.error,
                cure="Name the Secret or ConfigMap as secret/NAME or configmap/NAME by --settings.",
            )
        return document

    def _as_content(self, document: dict[str, Any]) -> bytes:
        data: dict[str, str] = document.get("data") or {}
        try:
            return _encoded(
                {name: base64.b64decode(value).decode() if self._is_secret else value for name, value in data.items()}
            )
        except (binascii.Error, UnicodeDecodeError) as error:
            raise CannotStart(
                "switch-settings-unreadable",
                f"{self.where} has a value that is not text.",
                cure="Name the Secret or ConfigMap of Bytes' environment.",
            ) from error

    def _kubectl(self, *words: str, given: str = "") -> Ran:
        return run(kubectl(self.namespace, *words), given=given, seconds=QUICK_SECONDS)


def _encoded(data: Mapping[str, str]) -> bytes:
    return json.dumps(dict(data), sort_keys=True).encode()
