"""Bytes that was started by something else while a switch has it stopped would keep its old settings, and look as if all were well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from migrator.core.errors import MustStop
from migrator.switch.deployment import OwnCommands
from migrator.switch.parts import Parts
from migrator.switch.settings_file import SettingsFile


@dataclass(frozen=True)
class Seen(OwnCommands):
    """A Bytes of which the system tells whether it is stopped; None where it cannot tell."""

    stopped: bool | None = None

    def is_stopped(self) -> bool | None:
        return self.stopped


@pytest.mark.parametrize("stopped", [True, False, None])
def test_a_bytes_that_runs_again_is_refused(tmp_path: Path, stopped: bool | None) -> None:
    parts = Parts(Seen("stop", "start", stopped=stopped), SettingsFile(tmp_path / "bytes.conf"), "")
    if stopped is not False:
        parts.refuse_started()
        return
    with pytest.raises(MustStop) as raised:
        parts.refuse_started()
    assert raised.value.name == "switch-started-meanwhile"
