"""The guard: a process in a session of its own that takes an unfinished switch back when the process that runs it dies.

It is a child of the switch and watches its parent's process id, which changes when the parent dies, however that happens: there is nothing
to be closed, flushed or handed on. It holds nothing while it waits.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from migrator.core.errors import CannotStart

WATCH_EVERY_SECONDS = 0.1
READY = b"ready"
_START_SECONDS = 30.0
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"


class Guard:
    """A guard that runs. `stop` it once the switch has its end in the journal."""

    def __init__(self, module: str, request: Mapping[str, Any]) -> None:
        """Start `main` of this module with the request as JSON in its second argument, and wait until it is ready.

        The program's own search path goes along, so it works from a zipapp too.

        Raises:
            CannotStart: If it does not start; Bytes was not touched.
        """
        self._ready, ready = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT.format(module=module), json.dumps(sys.path), json.dumps(request)],
                stdin=subprocess.DEVNULL,
                stdout=ready,
                start_new_session=True,
            )
        finally:
            os.close(ready)
        if not self._is_ready():
            self.stop()
            raise CannotStart(
                "switch-guard",
                "The guard, which brings Bytes back if this program dies, does not start.",
                why=f"It ended with status {self._process.returncode}, or took over {_START_SECONDS:.0f} s.",
                cure="Bytes was not touched. Rerun; if it stays, report it.",
            )

    def _is_ready(self) -> bool:
        until = time.monotonic() + _START_SECONDS
        while (left := until - time.monotonic()) > 0 and select.select([self._ready], [], [], left)[0]:
            said = os.read(self._ready, 4096)
            if READY in said:
                return True
            if not said:
                return False
        return False

    def is_alive(self) -> bool:
        """Return True while its process runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        os.close(self._ready)


def wait_for_parents_death(parent: int) -> None:
    """Return when this process is no child of `parent` any more."""
    while os.getppid() == parent:
        time.sleep(WATCH_EVERY_SECONDS)
