"""A machine without libcurl: a folder for PYTHONPATH whose `pycurl` cannot be imported."""

from __future__ import annotations

import os

from tests.servers import session_folder


def without_pycurl() -> dict[str, str]:
    """The environment in which Python finds a pycurl that fails as a missing shared library does: the same all session long."""
    folder = session_folder(os.environ)[0] / "no-pycurl"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "pycurl.py").exists():
        fresh = folder / f"{os.getpid()}.new"
        fresh.write_text("raise ImportError('libcurl.so.4: cannot open shared object file')\n")
        fresh.rename(folder / "pycurl.py")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}
