"""Manifests: written, put together, read back by halves; and what is refused."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import stat
from pathlib import Path

import pytest

from migrator.checks.manifest_writer import ManifestRow, ManifestShards
from migrator.core.entities import Digests, RawFile, RawId, Shard
from migrator.core.errors import MustStop, SettingsError
from migrator.core.naming import disk_path_of
from migrator.core.notices import Notice
from migrator.stores.manifest import ManifestSource
from migrator.sync.manifest_reader import Manifest
from tests.corpus import new_raw_id


def rows_of(organization: str, count: int, seed: int = 1) -> list[ManifestRow]:
    generator = random.Random(seed)
    found = []
    for raw_id in sorted(new_raw_id(generator) for _ in range(count)):
        content = raw_id.encode()
        digests = Digests(len(content), hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest())
        raw_file = RawFile(organization, RawId(raw_id))
        found.append(
            ManifestRow(raw_file, digests, f"/data/{disk_path_of(raw_file)}", 1_800_000_000.9, "both ends read")
        )
    return found


def written(folder: Path, *organizations: str, count: int = 300) -> dict[str, list[ManifestRow]]:
    sheets = ManifestShards(folder)
    sheets.prepare()
    found = {}
    for organization in organizations:
        found[organization] = rows_of(organization, count)
        prefixes, digests = [f"{digit:x}" for digit in range(16)], {}
        for prefix in reversed(prefixes):
            mine = [row for row in found[organization] if row.raw_file.raw_id.startswith(prefix)]
            digests[prefix] = sheets.write(Shard(organization, prefix), reversed(mine))
        sheets.put_together(organization, digests)
    sheets.clear()
    return found


def test_both_files_are_in_order_private_and_alone(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    rows = written(folder, "alpha", "gemeente-éé")
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{name}{kind}" for name in ("alpha", "gemeente-éé") for kind in (".ndjson", ".sha256")
    ]
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for name, mine in rows.items():
        assert (folder / f"{name}.sha256").read_text() == "".join(row.as_sum() for row in mine)
        assert (folder / f"{name}.ndjson").read_text() == "".join(row.as_json() for row in mine)


def test_a_name_is_escaped_as_sha256sum_does() -> None:
    row = rows_of("alpha", 1)[0]
    odd = row._replace(raw_file=RawFile("a\\b\nc", row.raw_file.raw_id))
    assert odd.as_sum().startswith(f"\\{row.digests.sha256}  a\\\\b\\nc/")


@pytest.mark.parametrize("kind", [".ndjson", ".sha256"])
@pytest.mark.parametrize("count", [1, 2, 50, 2_000])
def test_a_manifest_is_scanned_like_a_location(tmp_path: Path, kind: str, count: int) -> None:
    rows = written(tmp_path / "m", "alpha", "b1", count=count)
    manifest = Manifest(tmp_path / "m" / f"alpha{kind}")
    source = ManifestSource(manifest)
    notices: list[Notice] = []
    assert list(source.organizations(notices.append)) == ["alpha"]
    told = [row.raw_file.raw_id for row in rows["alpha"]]
    assert [entry.raw_id for entry in source.scan(Shard("alpha"), notices.append)] == told
    for prefix in ("0", "7f", "abc", "f"):
        expected = [raw_id for raw_id in told if raw_id.startswith(prefix)]
        assert [entry.raw_id for entry in source.scan(Shard("alpha", prefix), notices.append)] == expected
    for row in rows["alpha"][:: max(1, count // 20)]:
        entry = source.stat(row.raw_file)
        assert entry is not None
        assert entry.etag == f"sha256 {row.digests.sha256}"
        assert entry.size == (row.digests.size if kind == ".ndjson" else 0)
    assert source.stat(RawFile("alpha", RawId(new_raw_id(random.Random(99))))) is None
    assert source.is_empty("b1")
    assert list(source.scan(Shard("b1"), notices.append)) == []
    assert not notices


def test_a_folder_is_all_its_organizations_and_the_lists_with_sizes(tmp_path: Path) -> None:
    written(tmp_path / "m", "alpha", "b1", count=5)
    manifest = Manifest(tmp_path / "m")
    assert sorted(manifest.blocks) == ["alpha", "b1"]
    assert manifest.tells_sizes
    assert not Manifest(tmp_path / "m" / "b1.sha256").tells_sizes


def test_several_organizations_in_one_list_and_in_the_other_forms_of_sha256sum(tmp_path: Path) -> None:
    written(tmp_path / "m", "alpha", "b1", count=5)
    text = "".join((tmp_path / "m" / f"{name}.sha256").read_text() for name in ("b1", "alpha"))
    one = tmp_path / "all.txt"
    one.write_text(text.replace("  ", " *./"))
    assert sorted(Manifest(one).blocks) == ["alpha", "b1"]
    one.write_text(text + text)
    with pytest.raises(SettingsError, match="twice"):
        Manifest(one)


def test_a_sheet_is_known_by_its_digest(tmp_path: Path) -> None:
    sheets, shard = ManifestShards(tmp_path / "m"), Shard("alpha", "0")
    sheets.prepare()
    digest = sheets.write(shard, rows_of("alpha", 3))
    assert sheets.holds(shard, digest)
    assert not sheets.holds(shard, "0" * 64)
    assert not sheets.holds(Shard("alpha", "1"), digest)


def test_a_manifest_that_changes_while_it_is_used_ends_the_run(tmp_path: Path) -> None:
    written(tmp_path / "m", "alpha", count=5)
    path = tmp_path / "m" / "alpha.sha256"
    manifest = Manifest(path)
    path.write_text("x" * path.stat().st_size)
    with pytest.raises(MustStop, match="has changed"):
        list(manifest.lines("alpha"))


def test_a_manifest_that_becomes_another_while_it_is_used_ends_the_run(tmp_path: Path) -> None:
    """Sound lines, and of another organization."""
    written(tmp_path / "m", "alpha", "bravo", count=5)
    path = tmp_path / "m" / "alpha.sha256"
    manifest = Manifest(path)
    (tmp_path / "m" / "bravo.sha256").replace(path)
    with pytest.raises(MustStop, match="has changed"):
        list(manifest.lines("alpha"))


def test_a_manifest_that_is_taken_away_while_it_is_used_ends_the_run(tmp_path: Path) -> None:
    written(tmp_path / "m", "alpha", count=5)
    manifest = Manifest(tmp_path / "m")
    shutil.rmtree(tmp_path / "m")
    with pytest.raises(MustStop, match="cannot be read any more"):
        list(manifest.lines("alpha"))


def test_what_one_of_two_workers_broke_off_is_not_what_the_other_proved(tmp_path: Path) -> None:
    """Both had the shard; the one that was given up writes its part of it last."""
    sheets, shard, rows = ManifestShards(tmp_path / "m"), Shard("alpha", ""), rows_of("alpha", 5)
    sheets.prepare()
    digest = sheets.write(shard, rows)
    assert sheets.write(shard, rows[:2]) != digest
    assert sheets.holds(shard, digest)
    sheets.put_together("alpha", {"": digest})
    assert len((tmp_path / "m" / "alpha.sha256").read_text().splitlines()) == 5


@pytest.mark.parametrize("kind", [".sha256", ".ndjson"])
def test_a_raw_file_twice_is_refused(tmp_path: Path, kind: str) -> None:
    written(tmp_path / "m", "alpha", count=3)
    path = tmp_path / "m" / f"alpha{kind}"
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, first, *rest]))
    with pytest.raises(SettingsError, match="do not ascend"):
        Manifest(path)


@pytest.mark.parametrize("size", ["true", "-1", "1.5", "null"])
def test_a_size_that_is_none_is_refused(tmp_path: Path, size: str) -> None:
    written(tmp_path / "m", "alpha", count=1)
    path = tmp_path / "m" / "alpha.ndjson"
    path.write_text(re.sub(r'"size": \d+', f'"size": {size}', path.read_text()))
    with pytest.raises(SettingsError, match="tells no raw file"):
        Manifest(path)


def test_a_line_without_end_is_refused_and_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "endless.ndjson"
    path.write_text("{" + " " * 1_000_000)
    with pytest.raises(SettingsError, match="too long"):
        Manifest(path)


@pytest.mark.parametrize("kind", [".sha256", ".ndjson"])
def test_a_sheet_that_was_cut_or_altered_is_not_held(tmp_path: Path, kind: str) -> None:
    sheets, shard = ManifestShards(tmp_path / "m"), Shard("alpha", "0")
    sheets.prepare()
    digest = sheets.write(shard, rows_of("alpha", 3))
    [sheet] = sheets.shared.glob(f"*{kind}")
    sheet.write_bytes(sheet.read_bytes()[:-1])
    assert not sheets.holds(shard, digest)


def test_a_sheet_is_durable_before_it_has_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is for this user alone, whatever lay there before."""
    sheets = ManifestShards(tmp_path / "m")
    sheets.prepare()
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(fd: int) -> None:
        done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{fd}')).suffix or 'folder'}")
        fsync(fd)

    def replaced(self: Path, target: Path) -> Path:
        done.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    before = os.umask(0)
    try:
        digest = sheets.write(Shard("alpha", ""), rows_of("alpha", 3))
        left = tmp_path / "m" / ".alpha.sha256.part"
        left.touch(0o666)
        sheets.put_together("alpha", {"": digest})
    finally:
        os.umask(before)
    assert done == ["sync .part", "name", "sync folder"] * 4
    files = [path for path in (tmp_path / "m").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_link_in_the_place_of_what_is_written_is_not_followed(tmp_path: Path) -> None:
    sheets = ManifestShards(tmp_path / "m")
    sheets.prepare()
    digest = sheets.write(Shard("alpha", ""), rows_of("alpha", 3))
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "m" / ".alpha.sha256.part").symlink_to(tmp_path / "precious")
    with pytest.raises(MustStop):
        sheets.put_together("alpha", {"": digest})
    assert (tmp_path / "precious").read_bytes() == b"precious"
