"""Two switches of one Bytes, with different state folders, see each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.app.switch_lock import settings_held
from migrator.config.locations import DiskLocation
from migrator.core.errors import LedgerBusy
from migrator.stores.disk.lock import Hold, folders_held
from migrator.switch.settings_file import SettingsFile


def test_a_second_switch_of_the_same_settings_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    path, link = tmp_path / "etc" / "bytes.conf", tmp_path / "link.conf"
    path.parent.mkdir()
    path.touch()
    link.symlink_to(path)
    with (
        settings_held(SettingsFile(path), ()),
        pytest.raises(LedgerBusy) as raised,
        settings_held(SettingsFile(link), ()),
    ):
        pass
    assert raised.value.name == "switch-busy"
    with settings_held(SettingsFile(link), ()):
        pass


def test_settings_within_a_data_folder_do_not_keep_its_raw_files_from_being_copied(tmp_path: Path) -> None:
    store = SettingsFile(tmp_path / "bytes.conf")
    ends = (DiskLocation(root=tmp_path, folder_mode=0o740, file_mode=0o640).identity, "s3")
    with settings_held(store, ends), folders_held([Hold(root=tmp_path, alone=True)]):
        pass
