"""What a switch changes in Bytes' settings, by the env file that names the new place."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.app.switch_settings import wanted_for
from migrator.config.env_file import Setting
from migrator.config.environment import DATA_DIR
from migrator.config.location_resolution import location_by_settings
from migrator.core.errors import SettingsError
from migrator.switch.settings_edit import settings_of

S3 = "S3_BUCKET=raw\nBUCKET_PER_ORG=false\n"


@pytest.mark.parametrize(
    ("now", "given", "is_refused"),
    [
        ("BYTES_DATA_DIR=/mine\n", S3, False),
        ("BYTES_DATA_DIR=/mine\n", f"{S3}BYTES_DATA_DIR=/mine\n", False),
        ("BYTES_DATA_DIR=/mine\n", f"{S3}BYTES_DATA_DIR=/elsewhere\n", True),
        ("", f"{S3}BYTES_DATA_DIR=/data\n", False),
        ("", f"{S3}BYTES_DATA_DIR=/elsewhere\n", True),
        (S3, "BYTES_DATA_DIR=/elsewhere\n", False),
    ],
)
def test_a_place_on_s3_changes_no_data_folder(now: str, given: str, is_refused: bool, tmp_path: Path) -> None:
    present: list[Setting] = settings_of(tmp_path / "bytes.conf", now.encode())
    env = tmp_path / "new.env"
    env.write_text(given)
    target = location_by_settings(settings_of(env, given.encode()), ())
    if is_refused:
        with pytest.raises(SettingsError) as raised:
            wanted_for(target, str(env), present, mounts_data=False)
        assert raised.value.name == "switch-two-places"
    else:
        wanted = wanted_for(target, str(env), present, mounts_data=False)
        assert (wanted.get("S3_BUCKET") == "raw") is ("S3_BUCKET" in given)
        assert wanted.get(DATA_DIR) in (None, "/mine", "/data", "/elsewhere")
