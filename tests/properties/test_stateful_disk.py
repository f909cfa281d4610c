"""Whatever happens to files on a real disk, a pass that ends without a problem leaves every raw file of the source equal at the target.

Bytes saves and is paused in the middle of a file; an operator rewrites files in place, restores backups over them and sets their times
back; objects are lost at the target while Bytes saves new ones there; clocks run ahead.
`MIGRATOR_STATEFUL=nightly` makes it 500 steps long.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from migrator.core.entities import RawFile, RawId
from migrator.stores.disk.source import DiskSource
from migrator.sync.totals import Totals
from tests import strategies
from tests.fakes import Clock
from tests.memory_store import MemoryStore
from tests.passes import Remembered, run_pass

SETTLE = 30
FEW_IDS = [RawId(f"{number:03x}01234-1111-4111-8111-{number:012x}") for number in (1, 1 << 8, 2 << 8, 3 << 8)]
MORE_IDS = [RawId(f"{one[:3]}fffff{one[8:]}") for one in FEW_IDS]
RAW_FILES = st.builds(RawFile, st.sampled_from(["a", "b"]), st.sampled_from(FEW_IDS + MORE_IDS))
CONTENTS = st.binary(min_size=1, max_size=6)


class OnDisk(RuleBasedStateMachine):
    """A data folder, what lies at the target, and everything that is not the program."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="stateful-disk-"))
        self.backups: dict[RawFile, tuple[bytes, tuple[int, int]]] = {}
        self.paused: dict[RawFile, bytes] = {}
        self.theirs: dict[RawFile, bytes] = {}
        self.clock = Clock(time.time())
        self.memory = Remembered()
        self.target = MemoryStore(etags=True, clock_ns=self.clock.ns)

    @initialize(ours=st.dictionaries(RAW_FILES, CONTENTS, min_size=1, max_size=8), to_disk=st.booleans())
    def begin(self, ours: dict[RawFile, bytes], to_disk: bool) -> None:
        self.target = MemoryStore(etags=not to_disk, index_folders=to_disk, clock_ns=self.clock.ns)
        for raw_file, data in ours.items():
            self._write(raw_file, data)

    # --- at the source

    @rule(raw_file=RAW_FILES, data=CONTENTS)
    def saved(self, raw_file: RawFile, data: bytes) -> None:
        if not self._path(raw_file).exists() and raw_file not in self.target.contents():
            self._write(raw_file, data)

    @rule(raw_file=RAW_FILES, data=CONTENTS, rest=CONTENTS)
    def paused_in_the_middle(self, raw_file: RawFile, data: bytes, rest: bytes) -> None:
        if not self._path(raw_file).exists() and raw_file not in self.target.contents():
            self._write(raw_file, data)
            self.paused[raw_file] = rest

    @precondition(lambda self: self.paused)
    @rule(choice=st.data())
    def goes_on(self, choice: st.DataObject) -> None:
        """The rest is written, however late: name, folder and inode stay as they were."""
        raw_file = choice.draw(st.sampled_from(sorted(self.paused)))
        with self._path(raw_file).open("ab") as file:
            file.write(self.paused.pop(raw_file))

    @precondition(lambda self: self._at_rest())
    @rule(choice=st.data(), data=CONTENTS, sets_times_back=st.booleans(), keeps_size=st.booleans())
    def rewritten_in_place(self, choice: st.DataObject, data: bytes, sets_times_back: bool, keeps_size: bool) -> None:
        path = self._path(choice.draw(st.sampled_from(self._at_rest())))
        before = path.stat()
        new = (data * 6)[: before.st_size] if keeps_size else data
        with path.open("r+b") as file:
            file.write(new)
            file.truncate(len(new))
        if sets_times_back:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    @precondition(lambda self: self._at_rest())
    @rule(choice=st.data())
    def backed_up(self, choice: st.DataObject) -> None:
        raw_file = choice.draw(st.sampled_from(self._at_rest()))
        status = self._path(raw_file).stat()
        self.backups[raw_file] = self._path(raw_file).read_bytes(), (status.st_atime_ns, status.st_mtime_ns)

    @precondition(lambda self: self.backups)
    @rule(choice=st.data(), over_it=st.booleans())
    def restored(self, choice: st.DataObject, over_it: bool) -> None:
        """As ``tar --overwrite`` does, with its old times; or as a new file under the old name."""
        raw_file = choice.draw(st.sampled_from(sorted(self.backups)))
        data, times = self.backups[raw_file]
        self.paused.pop(raw_file, None)
        if not over_it:
            self._path(raw_file).unlink(missing_ok=True)
        self._write(raw_file, data)
        os.utime(self._path(raw_file), ns=times)

    # --- at the target

    @precondition(lambda self: self.target.contents())
    @rule(choice=st.data())
    def lost_at_the_target(self, choice: st.DataObject) -> None:
        raw_file = choice.draw(st.sampled_from(sorted(self.target.contents())))
        self.target.delete(raw_file)
        self.theirs.pop(raw_file, None)

    @rule(raw_file=RAW_FILES, data=CONTENTS)
    def saved_at_the_target(self, raw_file: RawFile, data: bytes) -> None:
        """Bytes was switched, and saves there under names of its own."""
        if raw_file not in self.target.contents() and not self._path(raw_file).exists():
            self.target.save(raw_file, data)
            self.theirs[raw_file] = data

    # --- time and passes

    @rule(seconds=st.sampled_from([1, 100, -60, 100_000]))
    def clock_moves(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(rested=st.booleans())
    def a_pass(self, rested: bool) -> None:
        """One that need not be the last: loss at the target may go unseen, what changed at the source may not."""
        if rested:
            self.clock.advance(100)
        before = self.target.contents()
        totals = self._run(lists_target=False)
        if totals.overall().is_clean:
            found = self.target.contents()
            for raw_file, data in self._source().items():
                if raw_file in before or raw_file in found:
                    assert found[raw_file] == data, raw_file

    @rule()
    def a_last_pass(self) -> None:
        """As at the end of a migration: all of both ends is listed."""
        totals = self._run(lists_target=True)
        ours, found = self._source(), self.target.contents()
        assert totals.overall().discovered.files == len(ours)
        if totals.overall().is_clean:
            assert {raw_file: found.get(raw_file) for raw_file in ours} == ours

    @rule()
    def conflicts_are_settled(self) -> None:
        """As an operator may: what differs at the target is taken away, and a pass copies it anew."""
        found = self.target.contents()
        for raw_file, data in self._source().items():
            if found.get(raw_file, data) != data:
                self.target.delete(raw_file)
                self.theirs.pop(raw_file, None)
        self.clock.advance(100)
        assert self._run(lists_target=True).overall().is_clean
        self.a_last_pass()

    @invariant()
    def nothing_of_theirs_was_touched(self) -> None:
        found = self.target.contents()
        assert {one: found.get(one) for one in self.theirs} == self.theirs

    def teardown(self) -> None:
        try:
            self.conflicts_are_settled()
        finally:
            shutil.rmtree(self.root)

    def _run(self, *, lists_target: bool) -> Totals:
        before = self._source()
        with closing(DiskSource(self.root)) as source:
            totals = run_pass(
                source, self.target, memory=self.memory, clock=self.clock, settle=SETTLE, lists_target=lists_target
            )
        assert self._source() == before
        return totals

    def _path(self, raw_file: RawFile) -> Path:
        return self.root / raw_file.organization / raw_file.raw_id[:3] / raw_file.raw_id

    def _write(self, raw_file: RawFile, data: bytes) -> None:
        self._path(raw_file).parent.mkdir(parents=True, exist_ok=True)
        self._path(raw_file).write_bytes(data)

    def _source(self) -> dict[RawFile, bytes]:
        paths = sorted(path for path in self.root.glob("*/*/*") if path.is_file())
        return {RawFile(path.parts[-3], RawId(path.name)): path.read_bytes() for path in paths}

    def _at_rest(self) -> list[RawFile]:
        return [one for one in self._source() if one not in self.paused]


IS_NIGHTLY = os.environ.get("MIGRATOR_STATEFUL") == "nightly"
TestOnDisk = OnDisk.TestCase
TestOnDisk.settings = settings(
    max_examples=strategies.examples(60 if IS_NIGHTLY else 12),
    stateful_step_count=500 if IS_NIGHTLY else 40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
