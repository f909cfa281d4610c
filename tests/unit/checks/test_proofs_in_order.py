"""Proofs come in the order in which they were asked for, whoever makes them and whenever they are made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from migrator.checks.proofs_in_order import AHEAD_WITH_LANE, ProofsInOrder
from migrator.core.entities import Entry, RawFile
from migrator.core.errors import MustStop
from migrator.core.outcomes import Outcome, Result, Step
from migrator.core.protocols import SinkAnswer
from migrator.transfer.file_copier import Stored
from tests.backends import raw_id

FILES = 2 * AHEAD_WITH_LANE


class BackwardsLane:
    """Has room for some, answers the last first, and declines those of an odd size."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._begun: list[tuple[object, str, Step]] = []
        self.declined = 0

    @property
    def under_way(self) -> int:
        return len(self._begun)

    @property
    def has_room(self) -> bool:
        return len(self._begun) < self._room

    def submit(self, ticket: object, organization: str, step: Step) -> bool:
        assert self.has_room
        self._begun.append((ticket, organization, step))
        return True

    def carried(self, timeout: float) -> list[Stored | SinkAnswer | tuple[object, str, Step]]:
        ended, self._begun = self._begun[::-1], []
        found: list[Stored | SinkAnswer | tuple[object, str, Step]] = []
        for ticket, organization, step in ended:
            if step.source.size % 2:
                self.declined += 1
                found.append((ticket, organization, step))
            else:
                found.append(SinkAnswer(ticket, Result(step.source, Outcome.PROVEN)))
        return found

    def close(self) -> None: ...


def _ends(size: int) -> tuple[RawFile, Entry, Entry] | None:
    """Of every tenth there is nothing to prove."""
    entry = Entry(raw_id("0001"), size)
    return (RawFile("org", entry.raw_id), entry, entry) if size % 10 else None


@pytest.mark.parametrize("room", [1, 7, 512])
def test_proofs_at_once_of_lane_and_of_threads_come_in_order(room: int) -> None:
    lane = BackwardsLane(room)
    with ThreadPoolExecutor(4) as pool:
        proofs = ProofsInOrder(
            lane,
            pool,
            ends_of=_ends,
            at_once=lambda size: f"at once {size}" if size % 3 == 0 else None,
            taken=lambda size, result: f"fast {size}" if size % 4 == 0 else None,
            slowly=lambda size: f"slow {size}",
        )
        found = [(size, future.result() if future is not None else None) for size, future in proofs.run(range(FILES))]
    ways = {size: "at once" if size % 3 == 0 else "fast" if size % 4 == 0 else "slow" for size in range(FILES)}
    assert found == [(size, f"{ways[size]} {size}" if size % 10 else None) for size in range(FILES)]
    assert lane.declined == sum(1 for size in range(FILES) if size % 2 and size % 3), "nothing that was proven at once"


@pytest.mark.parametrize("raising", ["at_once", "taken", "slowly"])
def test_what_a_proof_raises_comes_with_its_raw_file(raising: str) -> None:
    def stops(size: int, result: Result | None = None) -> str:
        raise MustStop("surprise", f"at {size}")

    def proves_nothing(size: int, result: Result | None = None) -> None:
        return None

    with ThreadPoolExecutor(1) as pool:
        proofs: ProofsInOrder[int, str] = ProofsInOrder(
            BackwardsLane(4),
            pool,
            ends_of=_ends,
            at_once=stops if raising == "at_once" else proves_nothing,
            taken=stops if raising == "taken" else proves_nothing,
            slowly=stops,
        )
        for size, future in proofs.run([1, 2]):
            assert future is not None
            with pytest.raises(MustStop, match=f"at {size}"):
                future.result()
