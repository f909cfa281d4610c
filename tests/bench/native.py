"""The small C programs: a null sink, a delaying proxy and a launcher that measures. Compiled when they are first needed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).with_name("native")


class Missing(Exception):
    """Something that this machine lacks; the message says what to install."""


@dataclass(frozen=True)
class Native:
    sink: Path
    delay: Path
    run: Path
    has_tls: bool


def build(folder: Path) -> Native:
    """Compile what has changed. Raises Missing without a C compiler; without OpenSSL's headers the sink has no TLS."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Missing("There is no C compiler (cc): apt install gcc libc6-dev")
    folder.mkdir(parents=True, exist_ok=True)
    sink = _compile(compiler, folder, "sink", ("-DWITH_TLS", "-lssl", "-lcrypto"))
    has_tls = sink is not None
    if sink is None:
        sink = _surely(compiler, folder, "sink")
    return Native(sink, _surely(compiler, folder, "delay"), _surely(compiler, folder, "run"), has_tls)


def _surely(compiler: str, folder: Path, name: str) -> Path:
    program = _compile(compiler, folder, name, ())
    if program is None:
        raise Missing(
            f"{name}.c does not compile here: apt install libc6-dev, then look at what `cc bench/native/{name}.c` says"
        )
    return program


def _compile(compiler: str, folder: Path, name: str, more: tuple[str, ...]) -> Path | None:
    content = b"".join(path.read_bytes() for path in sorted(SOURCES.iterdir())) + " ".join(more).encode()
    program = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    if program.exists():
        return program
    fresh = program.with_suffix(".new")
    command = [compiler, "-O2", "-o", fresh, SOURCES / f"{name}.c", *more]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        return None
    fresh.rename(program)
    return program
