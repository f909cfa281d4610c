"""Proofs of one raw file, and the sink of `verify`: what is proven, what is not, and what is never called fine."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.checks.content_proof import Hashes, Proof, digests_of, prove_content
from migrator.checks.prover import Level, Prover
from migrator.checks.verify_sink import Prove
from migrator.core.entities import Digests, Entry, RawFile
from migrator.core.equality import ProofKind, etag_of_parts, same_content
from migrator.core.errors import (
    Interrupted,
    MigratorError,
    MustStop,
    SourceChanged,
    StoreError,
    StoreFull,
    Unavailable,
    Unreadable,
)
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.core.protocols import Promise, SinkAnswer
from migrator.sync.action_tables import PROOF, PROOF_BY_SIZE
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule, quick_patience
from tests.memory_store import MemoryContent, MemoryStore
from tests.passes import counts, run_pass

A, B = raw_id("0001"), raw_id("0002")
ONE = RawFile("org", A)


class Crc:
    """A stored checksum of the whole content."""

    def __init__(self, expected: int) -> None:
        self._expected, self._value = expected, 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def matches(self) -> bool | None:
        return self._value == self._expected


def entry_at(store: MemoryStore | FailingStore) -> Entry:
    found = store.stat(ONE)
    assert found is not None
    return found


def proof_of(here: MemoryStore | FailingStore, there: MemoryStore | FailingStore, level: Level = Level.ETAG) -> Proof:
    return Prover(here, there, level).prove(ONE, entry_at(here), entry_at(there))


def stores(
    here: bytes, there: bytes, *, etags: tuple[bool | str, bool | str] = (False, True)
) -> tuple[MemoryStore, MemoryStore]:
    source, target = MemoryStore(etags=etags[0]), MemoryStore(etags=etags[1])
    source.save(ONE, here)
    target.save(ONE, there)
    return source, target


WAYS = [(False, False), (False, True), (True, False), (True, True)]


@pytest.mark.parametrize("etags", WAYS)
@pytest.mark.parametrize("level", [Level.ETAG, Level.CONTENT])
@given(here=st.binary(max_size=20), there=st.binary(max_size=20))
def test_equal_is_proven_and_everything_else_a_conflict(
    level: Level, etags: tuple[bool, bool], here: bytes, there: bytes
) -> None:
    assert proof_of(*stores(here, here, etags=etags), level).outcome is Outcome.PROVEN
    expected = Outcome.PROVEN if here == there else Outcome.CONFLICT
    assert proof_of(*stores(here, there, etags=etags), level).outcome is expected


@pytest.mark.parametrize("end", ["source", "target"])
def test_equal_bytes_of_a_file_that_was_written_to_meanwhile_are_no_proof(end: str) -> None:
    """At either end: what was read of it may never have been there at once."""
    stores_of = dict(zip(("source", "target"), stores(b"abc", b"abc", etags=(False, False)), strict=True))
    entries = {name: entry_at(store) for name, store in stores_of.items()}
    changed = SourceChanged("source-changed", "It changed.")
    ends = {**stores_of, end: FailingStore(stores_of[end], Schedule({("finish", 1): changed}))}
    with pytest.raises(SourceChanged):
        prove_content(ONE, ends["source"], entries["source"], ends["target"], entries["target"])


class GivesLess(MemoryStore):
    """Its content ends before what it says of its size."""

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[MemoryContent]:
        with super().open(raw_file, entry) as content:
            content.entry = content.entry._replace(size=content.entry.size + 1)
            yield content


def test_equal_beginnings_of_a_longer_file_are_no_proof() -> None:
    here, there = GivesLess(), GivesLess(etags=True)
    for store in (here, there):
        store.save(ONE, b"abc")
    with pytest.raises(SourceChanged):
        prove_content(ONE, here, entry_at(here), there, entry_at(there))


def test_a_proof_by_content_has_the_digests_and_the_state_that_was_read() -> None:
    here, there = stores(b"abc", b"abc")
    proof = prove_content(ONE, here, entry_at(here), there, entry_at(there))
    assert proof.is_proven
    assert proof.digests == Digests(3, hashlib.sha256(b"abc").hexdigest(), hashlib.md5(b"abc").hexdigest())
    assert proof.entry == entry_at(here)


@pytest.mark.parametrize("hashes", [(), ("sha256",), ("sha256", "md5")])
def test_a_proof_has_the_digests_that_are_wanted_and_no_others(hashes: Hashes) -> None:
    here, there = stores(b"abc", b"abc")
    found = {name: hashlib.new(name, b"abc").hexdigest() if name in hashes else "" for name in ("sha256", "md5")}
    proof = Prover(here, there, Level.CONTENT, hashes=hashes).prove(ONE, entry_at(here), entry_at(there))
    assert proof.is_proven
    assert proof.digests == Digests(3, **found) == digests_of(b"abc", hashes)


@pytest.mark.parametrize("hashes", [(), ("sha256",)])
def test_contents_are_compared_whichever_digests_are_wanted(hashes: Hashes) -> None:
    here, there = stores(b"abc", b"abd")
    proof = Prover(here, there, Level.CONTENT, hashes=hashes).prove(ONE, entry_at(here), entry_at(there))
    assert proof.outcome is Outcome.CONFLICT


def test_a_conflict_tells_both_contents_and_the_end_that_is_damaged() -> None:
    """A server keeps the ETag of what was written, while what it gives has rotted."""
    here, there = stores(b"abc", b"abd", etags=(False, hashlib.md5(b"abc").hexdigest()))
    proof = prove_content(ONE, here, entry_at(here), there, entry_at(there))
    assert proof.outcome is Outcome.CONFLICT
    assert hashlib.sha256(b"abd").hexdigest()[:16] in proof.reason
    assert "what the target gives is not what its own ETag says" in proof.reason


class TestWhatNoDigestTells:
    """At level etag; at level content both ends are read whatever the ETags."""

    @pytest.mark.parametrize("etag", ["opaque", f"{'0' * 32}-7"])
    def test_is_unproven(self, etag: str) -> None:
        here, there = MemoryStore(etags=False), MemoryStore(etags=etag)
        here.save(ONE, b"abc")
        there.save(ONE, b"abc")
        assert proof_of(here, there).outcome is Outcome.UNPROVEN
        assert proof_of(there, here).outcome is Outcome.UNPROVEN, "the other way round too"
        assert proof_of(here, there, Level.CONTENT).outcome is Outcome.PROVEN

    def test_encrypted_is_unproven_though_its_etag_looks_like_a_digest(self) -> None:
        here, there = MemoryStore(etags=False), MemoryStore(etags="0" * 32)
        for store in (here, there):
            store.save(ONE, b"abc")
        there.promises[ONE] = Promise(etag_is_digest=False)
        proof = proof_of(here, there)
        assert (proof.outcome, "encrypts" in proof.reason) == (Outcome.UNPROVEN, True)

    @pytest.mark.parametrize("etag", ["opaque", "0" * 32, f"{'0' * 32}-7"])
    @pytest.mark.parametrize("is_digest", [False, True])
    @pytest.mark.parametrize(
        ("there", "expected"), [(b"abc", Outcome.PROVEN), (b"abd", Outcome.CONFLICT)], ids=["same", "other"]
    )
    def test_a_stored_checksum_tells(self, etag: str, is_digest: bool, there: bytes, expected: Outcome) -> None:
        source, target = MemoryStore(etags=False), MemoryStore(etags=etag)
        source.save(ONE, b"abc")
        target.save(ONE, there)
        stored = zlib.crc32(there)
        target.promises[ONE] = Promise(etag_is_digest=is_digest, check=lambda: Crc(stored), kind="CRC32")
        assert proof_of(source, target).outcome is expected

    def test_an_md5_of_something_else_is_a_conflict_only_if_contents_differ(self) -> None:
        here, there = MemoryStore(etags=False), MemoryStore(etags="0" * 32)
        here.save(ONE, b"abc")
        there.save(ONE, b"abc")
        assert proof_of(here, there).outcome is Outcome.PROVEN

    def test_the_size_of_the_first_part_finds_parts_of_any_size(self) -> None:
        data = b"0123456789"
        etag = etag_of_parts([hashlib.md5(data[start : start + 3]).digest() for start in range(0, 10, 3)])
        here, there = MemoryStore(etags=False), MemoryStore(etags=etag)
        here.save(ONE, data)
        there.save(ONE, data)
        assert proof_of(here, there).outcome is Outcome.UNPROVEN
        there.promises[ONE] = Promise(part_size=3)
        assert proof_of(here, there).outcome is Outcome.PROVEN
        there.promises[ONE] = Promise(part_size=4)
        assert proof_of(here, there).how is ProofKind.BOTH_READ, "parts of unlike sizes"


def counted(*methods: str) -> tuple[Schedule, Callable[[], dict[str, int]]]:
    schedule = Schedule()
    return schedule, lambda: {method: schedule.calls[method] for method in methods if schedule.calls[method]}


def test_at_level_etag_each_byte_of_the_source_is_read_once_and_none_of_the_target() -> None:
    here, there = stores(b"x" * 100, b"x" * 100)
    at_source, source_calls = counted("open", "promise")
    at_target, target_calls = counted("open", "promise")
    proof = proof_of(FailingStore(here, at_source), FailingStore(there, at_target))
    assert proof.is_proven
    assert source_calls() == {"open": 1}
    assert target_calls() == {}


def test_encrypted_ones_are_read_once_after_the_first() -> None:
    here, there = MemoryStore(etags=False), MemoryStore(etags="0" * 32)
    for one in (ONE, RawFile("org", B)):
        here.save(one, b"abc")
        there.save(one, b"abc")
        there.promises[one] = Promise(etag_is_digest=False, check=lambda: Crc(zlib.crc32(b"abc")))
    schedule, calls = counted("open")
    prover = Prover(FailingStore(here, schedule), there, Level.ETAG)
    for raw in (A, B):
        one = RawFile("org", raw)
        source, target = here.stat(one), there.stat(one)
        assert source is not None
        assert target is not None
        assert prover.prove(one, source, target).is_proven
    assert calls() == {"open": 2 + 1}


class TestWhatChangesMeanwhile:
    def test_a_source_that_grew_to_the_targets_content_is_proven_by_what_it_is_now(self) -> None:
        here, there = stores(b"ab?", b"abc")
        schedule = Schedule(at={("read", 1): lambda: here.save(ONE, b"abc")})
        assert proof_of(FailingStore(here, schedule), there, Level.CONTENT).is_proven

    def test_a_difference_that_came_of_a_change_is_looked_at_again_by_the_migration_too(self) -> None:
        here, there = stores(b"ab?", b"abc", etags=(False, False))
        schedule = Schedule(at={("read", 1): lambda: here.save(ONE, b"abc")})
        failing = FailingStore(here, schedule)
        with pytest.raises(SourceChanged):
            same_content(ONE, failing, entry_at(failing), there, entry_at(there))

    def test_deleted_at_the_source_is_unproven_and_at_the_target_missing(self) -> None:
        here, there = stores(b"abc", b"abc")
        source, target = entry_at(here), entry_at(there)
        there.delete(ONE)
        proof = Prover(here, there, Level.CONTENT).prove(ONE, source, target)
        assert proof.outcome is Outcome.MISSING
        here.delete(ONE)
        proof = Prover(here, there, Level.CONTENT).prove(ONE, source, target)
        assert proof.outcome is Outcome.UNPROVEN

    def test_what_never_stands_still_is_raised(self) -> None:
        here, there = stores(b"abc", b"abc")
        torn = SourceChanged("source-changed", "It changed.")
        with pytest.raises(SourceChanged):
            proof_of(FailingStore(here, Schedule(always={"finish": torn})), there)


# --- as the sink of a pass -------------------------------------------------------------------------------------------


def verified(here: MemoryStore | FailingStore, there: MemoryStore, level: Level = Level.ETAG) -> dict[str, int]:
    sink = Prove(Prover(here, there, level), jobs=2, patience=quick_patience())
    rules = PROOF_BY_SIZE if level is Level.SIZE else PROOF
    return counts(run_pass(here, there, sink=sink, rules=rules))


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Level.SIZE, {"proven": 2, "conflict": 1, "missing": 1, "extra": 1}),
        (Level.ETAG, {"proven": 1, "conflict": 2, "missing": 1, "extra": 1}),
        (Level.CONTENT, {"proven": 1, "conflict": 2, "missing": 1, "extra": 1}),
    ],
)
@pytest.mark.parametrize("etags", WAYS)
def test_each_raw_file_has_one_outcome(level: Level, expected: dict[str, int], etags: tuple[bool, bool]) -> None:
    here, there = MemoryStore(etags=etags[0]), MemoryStore(etags=etags[1])
    contents = {"0001": (b"same", b"same"), "0002": (b"abc", b"abd"), "0003": (b"abc", b"ab"), "0004": (b"abc", None)}
    for digits, (ours, theirs) in contents.items():
        here.save(RawFile("org", raw_id(digits)), ours)
        if theirs is not None:
            there.save(RawFile("org", raw_id(digits)), theirs)
    there.save(RawFile("org", raw_id("fff0")), b"only here")
    before = (here.contents(), there.contents())
    assert verified(here, there, level) == expected
    assert (here.contents(), there.contents()) == before


def test_what_may_not_be_read_has_failed() -> None:
    here, there = stores(b"abc", b"abc")
    here.unreadable.add(ONE)
    assert verified(here, there) == {"failed": 1}


REFUSED = StoreError("server-refused", "It said no.")
REFUSED.request_id = "request-1"
OVER = MustStop("over", "It is over.")


def answer_of(fault: MigratorError | Callable[[], object]) -> tuple[SinkAnswer, Entry]:
    """The answer for a raw file that cannot be opened for this reason."""
    here, there = stores(b"abc", b"abc", etags=(False, False))
    failing = FailingStore(here, Schedule({("open", 1): fault}))
    sink = Prove(Prover(failing, there, Level.CONTENT), jobs=1, patience=quick_patience())
    sink.submit("ticket", "org", Step(Action.COMPARE, entry_at(here), entry_at(there)))
    sink._pool.shutdown()
    [answer] = sink.answers(flush=True)
    return answer, entry_at(here)


@pytest.mark.parametrize(
    ("fault", "outcome", "reason", "code", "request_id", "stop"),
    [
        (REFUSED, Outcome.FAILED, "It said no.", "server-refused", "request-1", None),
        (
            lambda: 1 // 0,
            Outcome.FAILED,
            "unexpected ZeroDivisionError: integer division or modulo by zero",
            "unexpected",
            "",
            None,
        ),
        (Interrupted("interrupted", "Asked to stop."), Outcome.PENDING, "Asked to stop.", "", "", None),
        (OVER, Outcome.PENDING, "It is over.", "", "", OVER),
    ],
)
def test_what_cannot_be_proven_says_all_that_is_known(
    fault: MigratorError | Callable[[], object],
    outcome: Outcome,
    reason: str,
    code: str,
    request_id: str,
    stop: MigratorError | None,
) -> None:
    answer, entry = answer_of(fault)
    assert answer == SinkAnswer("ticket", Result(entry, outcome, reason, code=code, request_id=request_id), stop)


def test_a_failure_that_all_others_would_share_ends_the_verification() -> None:
    answer, entry = answer_of(StoreFull("target-full", "No space is left."))
    assert (answer.ticket, answer.result) == ("ticket", Result(entry, Outcome.PENDING, "No space is left."))
    assert isinstance(answer.stop, MustStop)
    assert answer.stop.name == "target-full"


def test_a_server_that_is_away_for_a_moment_is_asked_again() -> None:
    here, there = stores(b"abc", b"abc")
    away = Schedule(at={("open", 1): Unavailable("away", "Away."), ("read", 1): Unavailable("away", "Away.")})
    assert verified(FailingStore(here, away), there) == {"proven": 1}
    assert verified(FailingStore(here, Schedule(always={"open": Unreadable("bad", "Bad.")})), there) == {"failed": 1}
