"""What `audit` says of causes: rows whose raw file never was, old names of settings, and files that Bytes' user cannot read."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import stat
from collections.abc import Sequence
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest

from migrator.cli.main import main
from migrator.config.env_file import Setting
from migrator.config.environment import OLD_NAMES, Environment, layer_of
from tests import as_bytes, oracle, recorded
from tests.as_bytes import UID
from tests.recorded import Saved

NEW_TO_OLD = {new: old for old, new in OLD_NAMES.items()}


def audit(*words: str) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), pytest.raises(SystemExit) as ended:
        main(["audit", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue()


def audit_json(*words: str) -> tuple[int, Any]:
    status, text = audit(*words, "--json")
    return status, json.loads(text)


def export(path: Path, files: Sequence[Saved]) -> str:
    """The rows as an operator exports them."""
    with path.open("w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out)
        lines.writerow(("id", "organization", "secure_hash", "ended_at"))
        for one in sorted(files, key=lambda one: (one.row.organization.encode(), one.row.raw_id)):
            assert one.row.ended_at is not None
            lines.writerow((one.row.raw_id, one.row.organization, one.row.secure_hash, one.row.ended_at.isoformat(" ")))
    return str(path)


# --- phantom rows ----------------------------------------------------------------------------------------------------


def test_a_row_without_a_file_is_told_with_its_time_and_with_what_tells_more(data: Path, tmp_path: Path) -> None:
    files = recorded.saved({"alpha": 8})
    recorded.save(data, files[2:])
    words = ("--database", export(tmp_path / "rows.csv", files), "--data-dir", str(data))
    status, text = audit(*words)
    assert status == 1
    assert "2 missing: lost, or never saved\n" in text
    for one in files[:2]:
        assert one.row.ended_at is not None
        ended = f"{one.row.ended_at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
        assert f"{one.row.raw_id}: there is no such file; its scan ended {ended}" in text
    document = audit_json(*words)[1]
    [told] = [one for one in document["findings"] if one["name"] == "missing"]
    assert "Bytes' log" in told["cure"]
    assert "POST /bytes/raw" in told["cure"]
    assert "between" in told["seen"]


# --- old names -------------------------------------------------------------------------------------------------------


def test_contents_are_opened_with_keys_under_their_old_names(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = recorded.saved({"alpha": 12})
    recorded.save(data, files, boxed=True)
    words = ("--database", export(tmp_path / "rows.csv", files), "--data-dir", str(data), "--level", "content")
    settings = recorded.box_settings()
    env_file = tmp_path / "old.env"
    env_file.write_text("".join(f"{NEW_TO_OLD[name].lower()}={value}\n" for name, value in settings.items()))
    status, document = audit_json(*words, "--env-file", str(env_file))
    assert (status, document["contents"]["proven"]["files"]) == (0, 12)
    for name, value in settings.items():
        monkeypatch.setenv(NEW_TO_OLD[name], value)
    assert audit_json(*words)[0] == 0
    monkeypatch.setenv("BYTES_ENCRYPTION_MIDDLEWARE", "IDENTITY")
    assert audit_json(*words)[0] == 1, "Bytes reads an old name only where the new one is not set"


@pytest.mark.parametrize("new", sorted(NEW_TO_OLD))
@pytest.mark.parametrize(("given", "wins"), [("old", "old"), ("both", "new"), ("new, empty, and old", "new")])
def test_the_new_name_wins_wherever_it_is_set(new: str, given: str, wins: str) -> None:
    """As ``BackwardsCompatibleEnvSettings`` has it: one environment comes of all layers, and only its names count."""
    old = NEW_TO_OLD[new]
    beneath = [Setting(new, "" if "empty" in given else "new", "environment")] if given != "old" else []
    environment = Environment(process=layer_of(beneath), files=(layer_of([Setting(old, "old", "line 1")]),))
    found = environment.get(new)
    assert found is not None
    assert found.value == ("" if "empty" in given else wins)
    assert (found.name == old) == (given == "old")


def test_a_private_key_is_hidden_under_its_old_name() -> None:
    assert Setting("KAT_PRIVATE_KEY_B64", "precious", "environment").shown == "***"


@pytest.mark.parametrize("count", [1, 9])
def test_without_encryption_settings_all_that_is_encrypted_is_told_as_that_first(
    count: int, data: Path, tmp_path: Path
) -> None:
    files = recorded.saved({"alpha": count})
    recorded.save(data, files, boxed=True)
    words = ("--database", export(tmp_path / "rows.csv", files), "--data-dir", str(data), "--level", "content")
    status, text = audit(*words)
    assert status == 1
    assert text.startswith(
        f"Not one of {count} contents is what Bytes recorded, and no setting says how Bytes encrypts"
    )
    assert audit_json(*words)[1]["answer"].startswith("Not one of")
    for one in files:
        recorded.path_of(data, one).unlink()
    recorded.save(data, files)
    assert audit(*words)[1].startswith("With these settings")


# --- Bytes' user -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", ["raw file", "index folder", "organization", "data folder"])
def test_what_bytes_user_cannot_read_is_not_called_readable(place: str, data: Path, tmp_path: Path) -> None:
    files = recorded.saved({"alpha": 5, "beta": 2})
    recorded.save(data, files)
    for path in (data, *data.rglob("*")):
        os.chown(path, UID, UID)
    first = recorded.path_of(data, files[0])
    spoilt = {"raw file": first, "index folder": first.parent, "organization": first.parent.parent, "data folder": data}
    os.chown(spoilt[place], 0, 0)
    words = ("--database", export(tmp_path / "rows.csv", files), "--data-dir", str(data), "--owner", str(UID))
    before = oracle.tree_snapshot(data)
    status, document = audit_json(*words)
    assert oracle.tree_snapshot(data) == before
    truth = as_bytes.read(as_bytes.OnDisk(data), [one.name for one in files])
    totals = document["totals"]
    assert totals["readable"]["files"] == len(truth.readable)
    assert totals["closed"]["files"] == len(truth.refused) > 0
    assert totals["rows"]["files"] == 7
    assert status == 1
    names = [one["name"] for one in document["findings"]]
    assert "location-empty" not in names, "raw files are there, and closed"
    [told] = [one for one in document["findings"] if one["name"] == "closed-to-bytes"]
    assert "--owner" in told["cure"]
    closed = [one for one in document["problems"] if one["kind"] == "closed"]
    assert {(one["organization"], one["id"]) for one in closed} == set(truth.refused)
    assert "keeps user id 1000 out" in audit(*words)[1]
    assert stat.S_IMODE(first.stat().st_mode) == 0o640
