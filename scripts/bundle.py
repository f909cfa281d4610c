"""The bundle for hosts without a network: ``bundle.py [FOLDER]``. Takes the wheel in ``dist``, or makes one."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "deploy" / "requirements.lock"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "x86_64": ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64"),
    "aarch64": ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64"),
}
_README = """bytes-migrator {version} for hosts without a network: CPython 3.10 to 3.14, x86-64 and arm64, with glibc 2.28 or later.

    python3 -m venv /opt/bytes-migrator
    /opt/bytes-migrator/bin/pip install --no-index --find-links wheels --require-hashes -r requirements.lock
    /opt/bytes-migrator/bin/bytes-migrator --version

Dask and the demo are not in it.
"""


class Locked(NamedTuple):
    """One entry of the lock file: ``name==version``, the marker that says where it is needed, and the hashes of its files."""

    requirement: str
    marker: str
    hashes: tuple[str, ...]


def locked(text: str) -> Iterator[Locked]:
    """The entries of a lock file, in its order."""
    for entry in re.split(r"\n(?=[a-z0-9])", text, flags=re.IGNORECASE):
        found = re.match(r"([\w.-]+==\S+)(?: ; (.*?))?(?: \\\n|$)", entry)
        if found:
            yield Locked(found[1], found[2] or "", tuple(re.findall(r"--hash=(sha256:[0-9a-f]{64})", entry)))


def needed(entries: list[Locked], python: str, machine: str) -> str:
    """A requirements file without markers: pip evaluates those for the Python that it runs in, not for the one it downloads for."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "os_name": "posix",
    }
    lines = [
        " ".join([entry.requirement, *(f"--hash={value}" for value in entry.hashes)])
        for entry in entries
        if not entry.marker or Marker(entry.marker).evaluate(environment)
    ]
    return "\n".join(lines) + "\n"


def download(wheels: Path) -> None:
    """Fetch the wheels of every Python and machine. Raises CalledProcessError where one has no wheel."""
    entries = list(locked(LOCK.read_text()))
    for machine, platforms in PLATFORMS.items():
        for python in PYTHONS:
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
                file.write(needed(entries, python, machine))
                file.flush()
                where = [word for name in platforms for word in ("--platform", name)]
                subprocess.run(
                    [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
                     "--only-binary=:all:", "--implementation", "cp", "--python-version", python, *where,
                     "--find-links", str(wheels), "--dest", str(wheels), "-r", file.name],
                    check=True,
                )  # fmt: skip
            print(f"CPython {python}, {machine}: all wheels", flush=True)


def wheel_of_ours() -> Path:
    """The wheel in ``dist``, built if there is none."""
    if not list((ROOT / "dist").glob("bytes_migrator-*.whl")):
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            str(ROOT / "dist"),
            str(ROOT),
        ]
        subprocess.run(command, check=True)
    return max((ROOT / "dist").glob("bytes_migrator-*.whl"))


def pack(wheels: Path, ours: Path) -> Path:
    """Write the archive: the same wheels give the same bytes."""
    version = ours.name.split("-")[1]
    digest = hashlib.sha256(ours.read_bytes()).hexdigest()
    lock = LOCK.read_text() + f"bytes-migrator=={version} \\\n    --hash=sha256:{digest}\n"
    folder = f"bytes-migrator-{version}-bundle"
    path = ROOT / "dist" / f"{folder}.tar"
    with tarfile.open(path, "w") as archive, tempfile.TemporaryDirectory() as work:
        texts = {"requirements.lock": lock, "README": _README.format(version=version)}
        for name, text in texts.items():
            (Path(work) / name).write_text(text)
            archive.add(Path(work) / name, f"{folder}/{name}", filter=_steady)
        for wheel in sorted([*wheels.glob("*.whl"), ours], key=lambda each: each.name):
            archive.add(wheel, f"{folder}/wheels/{wheel.name}", filter=_steady)
    return path


def _steady(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    member.mode = 0o644
    return member


if __name__ == "__main__":
    kept = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "build" / "bundle"
    kept.mkdir(parents=True, exist_ok=True)
    download(kept)
    made = pack(kept, wheel_of_ours())
    print(
        f"scripts/bundle: {made.relative_to(ROOT)}, {made.stat().st_size / 1e6:.0f} MB, {len(list(kept.glob('*.whl')))} wheels of others"
    )
