"""Laws of the ledger: it is a dictionary that survives closing, killing and rolling back; every form reads back what it wrote."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from migrator.core.entities import FinishedFolder, Provisional, RawId
from migrator.core.notices import Problem
from migrator.core.outcomes import Outcome
from migrator.ledger import record_codec
from migrator.ledger.directory import family
from migrator.ledger.ledger import Ledger
from tests import strategies

COUNTS = st.integers(min_value=0, max_value=2**64)
PREFIXES = st.text("0af", min_size=3, max_size=3)
SHARDS = st.text("0af", max_size=3)
ORGANIZATIONS = st.sampled_from(["a", "a-b", "a_b", "gemeente-éé", "市", "\udcff", 'x"\\\n'])
MARKS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64)
DIGESTS = st.text("0aF+/", min_size=8, max_size=8)
FOLDERS = st.builds(FinishedFolder, ORGANIZATIONS, PREFIXES, COUNTS, DIGESTS, DIGESTS, st.booleans(), COUNTS, COUNTS)
COPIES = st.builds(Provisional, ORGANIZATIONS, strategies.raw_ids(), COUNTS, COUNTS, MARKS)
PROBLEMS = st.builds(
    Problem,
    st.sampled_from([outcome.value for outcome in Outcome]),
    ORGANIZATIONS,
    st.text(),
    st.text(),
    st.one_of(st.just(""), strategies.raw_ids()),
    COUNTS,
)
TIMES = st.floats(min_value=0, max_value=1e11)
RUNS = st.builds(
    record_codec.RunRow,
    run_id=st.text(max_size=20),
    command=st.text(max_size=20),
    source=st.text(),
    target=st.text(),
    settings_fingerprint=st.text(max_size=20),
    started_at=TIMES,
    progress_at=st.none() | TIMES,
    ended_at=st.none() | TIMES,
    exit_status=st.none() | st.integers(0, 255),
    totals=st.dictionaries(st.text(), st.dictionaries(st.text(), st.dictionaries(st.text(), COUNTS))),
)


def through_text(value: object) -> object:
    return record_codec.decode(record_codec.encode(value))


@given(FOLDERS)
def test_a_finished_folder_reads_back(folder: FinishedFolder) -> None:
    value = through_text(record_codec.finished_body(folder))
    assert record_codec.read_finished(folder.organization, folder.prefix, value) == folder


@given(
    st.from_regex(r"\A-?[0-9a-f]{1,3} [0-9a-fA-F_+/]{15,17}[-+= ] -?[0-9a-fA-F_+]{1,3} [0-9a-f]{1,3}\n?\Z") | st.text()
)
def test_of_a_finished_folder_only_what_was_written_reads_back(value: str) -> None:
    read = record_codec.read_finished("acme", "abc", value)
    assert read is None or record_codec.finished_body(read) == value


@given(COPIES)
def test_a_provisional_copy_reads_back(copy: Provisional) -> None:
    value = through_text(record_codec.provisional_body(copy))
    assert record_codec.read_provisional(copy.organization, copy.raw_id, value) == copy


@given(PROBLEMS)
def test_a_problem_reads_back(problem: Problem) -> None:
    assert record_codec.read_problem(through_text(record_codec.problem_body(problem))) == problem


@given(RUNS)
def test_a_run_reads_back(run: record_codec.RunRow) -> None:
    assert record_codec.read_run(record_codec.key_of(run.run_id), through_text(record_codec.run_body(run))) == run


@given(st.text(), st.text())
def test_two_names_never_share_a_key(one: str, other: str) -> None:
    keys = record_codec.key_of(one), record_codec.key_of(other)
    assert (keys[0] == keys[1]) == (one == other)
    assert all(key.isascii() and (key == "" or key.isprintable()) for key in keys)
    assert (record_codec.text_of(keys[0]), record_codec.text_of(keys[1])) == (one, other)
    assert record_codec.text_of(one) in (None, one) or record_codec.key_of(str(record_codec.text_of(one))) == one


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=11) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.text(), JSON)
def test_whatever_is_read_either_has_sense_or_is_nothing(name: str, value: object) -> None:
    assert record_codec.read_finished("a", name, value) is None
    assert record_codec.read_provisional("a", name, value) is None
    assert record_codec.read_problem(value) is None or isinstance(value, list)
    assert record_codec.read_run(name, value) is None or isinstance(value, list)
    assert record_codec.read_abilities(value) is None or isinstance(value, list)


class LedgerAgainstDictionaries(RuleBasedStateMachine):
    """A ledger is used, closed, killed (its files copied as they are) and rolled back; dictionaries say what it must hold."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.lives = 0
        self.finished: dict[tuple[str, str], FinishedFolder] = {}
        self.provisional: dict[tuple[str, RawId], Provisional] = {}
        self.problems: list[Problem] = []
        self.ledger = self.opened(self.folder / "0.sqlite3")

    def opened(self, path: Path) -> Ledger:
        ledger = Ledger.open(path, source_identity="s", target_identity="t", now=1.0)
        assert ledger.findings == ()
        return ledger

    @rule(
        folders=st.lists(FOLDERS, max_size=5),
        copies=st.lists(COPIES, max_size=5),
        problems=st.lists(PROBLEMS, max_size=5),
    )
    def record(self, folders: list[FinishedFolder], copies: list[Provisional], problems: list[Problem]) -> None:
        with self.ledger.transaction():
            self.ledger.record_finished(folders)
            self.ledger.record_provisional(copies)
            self.ledger.record_problems("run", problems)
        self.finished.update({(folder.organization, folder.prefix): folder for folder in folders})
        self.provisional.update({(copy.organization, copy.raw_id): copy for copy in copies})
        self.problems += problems

    @rule(folders=st.lists(FOLDERS, max_size=5), problems=st.lists(PROBLEMS, max_size=5))
    def roll_back(self, folders: list[FinishedFolder], problems: list[Problem]) -> None:
        try:
            with self.ledger.transaction():
                self.ledger.record_finished(folders)
                self.ledger.record_problems("run", problems)
                self.ledger.forget_finished()
                raise InterruptedError  # noqa: TRY301  what happens to a shard that does not end
        except InterruptedError:
            pass

    @rule(organization=st.none() | ORGANIZATIONS)
    def forget(self, organization: str | None) -> None:
        self.ledger.forget_finished(organization)
        kept = {key: row for key, row in self.finished.items() if organization not in (None, key[0])}
        self.finished = kept

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        keys = data.draw(st.lists(st.sampled_from(sorted(self.provisional) or [("a", RawId("none"))]), max_size=3))
        self.ledger.settle_provisional(keys)
        for key in keys:
            self.provisional.pop(key, None)

    @rule()
    def close_and_reopen(self) -> None:
        self.ledger.close()
        self.ledger = self.opened(self.ledger.path)

    @rule()
    def kill_and_reopen(self) -> None:
        self.lives += 1
        path = self.folder / f"{self.lives}.sqlite3"
        for old, new in zip(family(self.ledger.path), family(path), strict=True):
            if old.exists():
                shutil.copy(old, new)
        self.ledger.close()
        self.ledger = self.opened(path)

    @rule()
    def read_beside_it(self) -> None:
        reader = Ledger.open_to_read(self.ledger.path)
        assert reader is not None
        with reader:
            self.holds_what_was_recorded(reader, "")

    @invariant()
    def holds_everything(self) -> None:
        self.holds_what_was_recorded(self.ledger, "")

    @rule(prefix=SHARDS)
    def holds_a_shard(self, prefix: str) -> None:
        self.holds_what_was_recorded(self.ledger, prefix)

    def holds_what_was_recorded(self, ledger: Ledger, prefix: str) -> None:
        owners = {key[0] for key in (*self.finished, *self.provisional)}
        finished = {(owner, name): row for owner in owners for name, row in ledger.finished(owner, prefix).items()}
        copies = {(owner, name): row for owner in owners for name, row in ledger.provisional(owner, prefix).items()}
        assert finished == {key: row for key, row in self.finished.items() if key[1].startswith(prefix)}
        assert copies == {key: row for key, row in self.provisional.items() if key[1].startswith(prefix)}
        assert ledger.problems("run") == self.problems
        assert sum(ledger.problem_counts("run").values()) == len(self.problems)

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)


TestLedgerAgainstDictionaries = LedgerAgainstDictionaries.TestCase
TestLedgerAgainstDictionaries.settings = settings(
    max_examples=strategies.examples(20), stateful_step_count=20, deadline=None
)
