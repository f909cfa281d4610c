"""Which file of nginx is used for read-through, and which address Bytes gets: only what is unmistakable."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.app.switch_proxy_plan import ProxyRequest, lines_and_endpoint, nginx_file
from migrator.core.errors import SettingsError
from migrator.core.naming import SingleBucket
from migrator.doctor.nginx_lines import DataFolder, nginx_lines, reading_through

SERVER = "http://s3.example:8333"
CURE = nginx_lines(SERVER)
OURS = "\n".join(CURE) + "\n"


def nginx_in(folder: Path, **files: str) -> ProxyRequest:
    """An nginx whose folder has these files, by folder and name with two underscores between."""
    (folder / "conf.d").mkdir()
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", "-").replace("conf-d", "conf.d")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return ProxyRequest(folder=folder)


def test_the_only_file_with_our_lines_is_found_and_a_link_to_it_is_no_second_one(tmp_path: Path) -> None:
    asked = nginx_in(tmp_path, conf_d__other="server {}\n", sites_available__s3=OURS)
    (tmp_path / "sites-enabled").mkdir()
    (tmp_path / "sites-enabled" / "s3").symlink_to(tmp_path / "sites-available" / "s3")
    (tmp_path / "conf.d" / "again").symlink_to(tmp_path / "sites-available" / "s3")
    assert nginx_file(asked)[0].resolve() == tmp_path / "sites-available" / "s3"


def test_without_one_a_new_file_is_made_where_nginx_reads(tmp_path: Path) -> None:
    assert nginx_file(nginx_in(tmp_path)) == (
        tmp_path / "conf.d" / "bytes-s3.conf",
        "a new file, in the folder that nginx reads",
    )


def test_two_files_or_no_nginx_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be guessed"):
        nginx_file(ProxyRequest(folder=tmp_path))
    with pytest.raises(SettingsError, match="cannot be guessed"):
        nginx_file(nginx_in(tmp_path, conf_d__one=OURS, conf_d__two=OURS))


@pytest.mark.parametrize(
    ("old", "endpoint", "expected"),
    [
        (None, SERVER, "http://127.0.0.1:8334"),
        (OURS, SERVER, "http://127.0.0.1:8334"),
        (OURS, "http://127.0.0.1:8334", "http://127.0.0.1:8334"),
        (OURS, "http://proxy.internal:8334", "http://proxy.internal:8334"),
    ],
    ids=["no file", "the server's own address", "nginx' address", "nginx by another name"],
)
def test_bytes_gets_nginx_address(old: str | None, endpoint: str, expected: str) -> None:
    lines, through = lines_and_endpoint(Path("x"), old.encode() if old is not None else None, ProxyRequest(), endpoint)
    assert (tuple(lines), through) == (CURE, expected)


def test_a_file_that_reads_through_already_is_used_without_its_blocks() -> None:
    on = "\n".join(reading_through(CURE, DataFolder(root=Path("/data"), naming=SingleBucket("raw"))))
    assert tuple(lines_and_endpoint(Path("x"), on.encode(), ProxyRequest(), SERVER)[0]) == CURE


@pytest.mark.parametrize(
    ("old", "endpoint", "error"),
    [
        (OURS, "http://other.example:9000", "read-through-other-server"),
        (None, "http://127.0.0.1:8334", "read-through-other-server"),
        ("server { listen 80; }\n", SERVER, "read-through-file"),
    ],
    ids=["another server", "nginx would ask itself", "another file"],
)
def test_a_file_before_another_server_is_refused(old: str | None, endpoint: str, error: str) -> None:
    with pytest.raises(SettingsError) as raised:
        lines_and_endpoint(Path("x"), old.encode() if old is not None else None, ProxyRequest(), endpoint)
    assert raised.value.name == error
