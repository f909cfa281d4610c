"""A worker's whole life: what breaks while its stores are opened is told for each unit, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.app import worker_config
from migrator.app.worker_config import WorkerConfig, work_by_recipe
from migrator.config.locations import DiskLocation
from migrator.core.cancellation import StopFlag
from migrator.core.errors import CannotStart
from migrator.engines.single_thread import UnitQueue
from migrator.sync.channel import Acknowledgements, Line
from migrator.sync.messages import Event, Survey, UnitEnded
from migrator.transfer.throttle import Throttle

DISK = DiskLocation(root=Path("/nowhere"), folder_mode=0o740, file_mode=0o640)


@pytest.mark.parametrize(
    ("error", "name"), [(CannotStart("a-name", "It is not there."), "a-name"), (ValueError("odd"), "unexpected")]
)
def test_what_breaks_while_stores_are_opened_ends_each_unit(
    error: Exception, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise error

    monkeypatch.setattr(worker_config, "reading", breaks)
    units, flag, events = UnitQueue(), StopFlag(), list[Event]()
    for unit in (Survey("a"), Survey("b", number=1), None):
        units.queue.put(unit)
    made = WorkerConfig(source=DISK, target=DISK, refused=frozenset(), run_id="20260101-000000-abcdef")
    work_by_recipe(made, Throttle(), flag, units, Line(events.append, 0, Acknowledgements(1), flag))
    assert flag.is_set()
    assert [(type(event), event.unit) for event in events] == [
        (UnitEnded, 0),
        (UnitEnded, 1),
    ]
    assert {event.error.name for event in events if isinstance(event, UnitEnded) and event.error} == {name}
