"""What Bytes saved at its new place after the start: found there, and asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from migrator.app.switch_save_proof import NewPlace, gives_new_one
from migrator.checks.audit.bytes_api import BytesApi
from migrator.config.locations import Secret
from migrator.core.cancellation import StopFlag
from migrator.core.errors import MustStop
from migrator.stores.disk.source import DiskSource
from tests import corpus
from tests.running_bytes import PASSWORD, USERNAME, running_bytes

NEW = "0123abcd-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Case:
    """What Bytes answers for the new raw file; `comes` of it: True, False, or "error"."""

    name: str
    comes: bool | str
    contents: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    is_at_source: bool = False
    seconds: float = 5.0


CASES = [
    Case("it-gives-it", True, {NEW: b"new"}),
    Case("it-does-not-know-it", False, seconds=0.1),
    Case("it-answers-500", "error", statuses={NEW: 500}),
    Case("it-gives-another-content", "error", {NEW: b"another"}),
    Case("the-old-place-has-it-too", False, {NEW: b"new"}, is_at_source=True, seconds=0.1),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bytes_is_asked_for_what_it_saved_since_its_start(case: Case, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    corpus.make_store(old, {"alpha": 3}, sizes=10)
    corpus.add_raw_file(new, "alpha", b"before", "0123abcd-1111-4000-8000-000000000000")
    since = time.time()
    for root in (new, old) if case.is_at_source else (new,):
        corpus.add_raw_file(root, "alpha", b"new", NEW)
    with running_bytes(contents=case.contents, statuses=case.statuses) as running:
        api = BytesApi(running.url, USERNAME, Secret(PASSWORD))
        api.sign_in()
        place = NewPlace(
            source=DiskSource(old), target=DiskSource(new), organizations=["alpha"], since=since, on_disk=True
        )
        if case.comes == "error":
            with pytest.raises(MustStop) as raised:
                gives_new_one(api, place, (), seconds=case.seconds, stopping=StopFlag())
            assert raised.value.name == "switch-proof"
            return
        assert gives_new_one(api, place, (), seconds=case.seconds, stopping=StopFlag()) is case.comes
