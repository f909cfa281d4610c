"""Bytes' settings file, and what the running Bytes was started with: another place is found before anything is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from migrator.app.switch_settings import refuse_old_settings, refuse_other_bytes
from migrator.core.errors import CannotStart, MustStop
from migrator.switch.deployment import OwnCommands
from migrator.switch.settings_file import SettingsFile

DISK = "BYTES_DATA_DIR=/data\n"
S3 = "S3_BUCKET=raw\nBUCKET_PER_ORG=false\n"


@dataclass(frozen=True)
class Started(OwnCommands):
    """A Bytes of which it is known what it was started with; None where that cannot be seen."""

    with_these: Mapping[str, str] | None = None

    def environment(self) -> Mapping[str, str] | None:
        return self.with_these


CASES = {
    "the same": (DISK, {"BYTES_DATA_DIR": "/data", "PATH": "/bin"}, ""),
    "nobody can see": (DISK, None, ""),
    "another folder": (DISK, {"BYTES_DATA_DIR": "/elsewhere"}, "BYTES_DATA_DIR"),
    "S3 beside the folder": (DISK, {"BYTES_DATA_DIR": "/data", "S3_BUCKET": "raw"}, "S3_BUCKET"),
    "not restarted since the file has S3": (S3, {"BYTES_DATA_DIR": "/data"}, "S3_BUCKET, BUCKET_PER_ORG"),
    "another bucket": (S3, {"S3_BUCKET": "other", "BUCKET_PER_ORG": "false"}, "S3_BUCKET"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bytes_that_was_started_with_other_settings_is_refused(case: str, tmp_path: Path) -> None:
    content, environment, differs = CASES[case]
    path = tmp_path / "bytes.conf"
    path.write_text(content)
    store = SettingsFile(path)
    running = Started("stop", "start", with_these=environment)
    if not differs:
        refuse_other_bytes(store, store.settings(store.read()), running)
        refuse_old_settings(store, store.settings(store.read()), running)
        return
    with pytest.raises(CannotStart) as raised:
        refuse_other_bytes(store, store.settings(store.read()), running)
    assert raised.value.name == "switch-settings-not-running"
    assert f"another value of {differs} than" in raised.value.what
    with pytest.raises(MustStop) as stopped:
        refuse_old_settings(store, store.settings(store.read()), running)
    assert stopped.value.name == "switch-old-settings"
    assert f"another value of {differs} than" in stopped.value.what
