"""What a ledger keeps of uploads, proofs and reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.entities import ProvenShard, RawId, UnfinishedUpload
from migrator.core.notices import Problem
from migrator.ledger import record_codec
from migrator.ledger.ledger import Ledger
from tests.unit.ledger.scene import NOW, RAW_ID, TOTALS, begin, change, folder_of, opened, problem_of


def upload_of(raw_id: str = RAW_ID, organization: str = "acme", upload_id: str = "u1") -> UnfinishedUpload:
    return UnfinishedUpload(
        organization, RawId(raw_id), "bucket", f"{organization}/{raw_id}", upload_id, 8 << 20, "stamp", NOW
    )


def test_uploads_are_known_by_shard_until_they_are_forgotten(path: Path) -> None:
    later = upload_of("abd00000-0000-4000-8000-000000000002")
    with opened(path) as made:
        for each in (later, upload_of(), upload_of(organization="b é\n")):
            made.record_upload(each)
    with opened(path) as again:
        assert again.uploads("acme") == (upload_of(), later), "ascending"
        assert again.uploads("acme", "abc") == (upload_of(),)
        assert again.uploads("acme", "f") == again.uploads("nobody") == ()
        assert again.all_uploads() == (upload_of(), later, upload_of(organization="b é\n"))
        again.record_upload(upload_of(upload_id="u2"))
        assert again.uploads("acme", "abc") == (upload_of(upload_id="u2"),), "one for each raw file"
        again.forget_upload(later)
        assert again.all_uploads() == (upload_of(upload_id="u2"), upload_of(organization="b é\n"))


@pytest.mark.row(67)
@pytest.mark.parametrize("owner", ['"', "\\u0061cme", "a\nb", b"acme", b"\xff", "[]"])
def test_uploads_of_an_owner_that_cannot_be_are_not_there(path: Path, owner: str | bytes) -> None:
    with opened(path) as made:
        made.record_upload(upload_of())
    change(path, "INSERT INTO facts SELECT kind, ?, name, body, seal FROM facts WHERE kind = 'upload'", owner)
    with opened(path) as again:
        assert again.all_uploads() == (upload_of(),)


@pytest.mark.parametrize(
    "body",
    [
        ["bucket", f"acme/{RAW_ID}", "u1", 0, "stamp", NOW],
        ["bucket", f"acme/{RAW_ID}", "u1", -1, "stamp", NOW],
        ["bucket", "acme/another", "u1", 8, "stamp", NOW],
        ["bucket", f"acme/{RAW_ID}", "u1", 8, "stamp", -1.0],
        ["bucket", f"acme/{RAW_ID}", "u1", 8, "stamp", "now"],
        ["bucket", f"acme/{RAW_ID}", None, 8, "stamp", NOW],
        ["bucket", f"acme/{RAW_ID}", "u1", 8, "stamp"],
        "text",
    ],
)
def test_an_upload_that_cannot_be_is_none(body: object) -> None:
    assert record_codec.read_upload("acme", RAW_ID, body) is None
    assert record_codec.read_upload("acme", "no-id", ["bucket", "acme/no-id", "u1", 8, "stamp", NOW]) is None
    assert record_codec.read_upload("acme", RAW_ID, record_codec.upload_body(upload_of())) == upload_of()
    assert (
        record_codec.read_upload("acme", RAW_ID, record_codec.upload_body(upload_of()._replace(part_size=1)))
        is not None
    )


def test_what_a_verification_has_proven_is_known_by_shard_until_it_is_forgotten(path: Path) -> None:
    one, other = (ProvenShard("acme", prefix, "key", "state", NOW, "sheet") for prefix in ("", "abc"))
    with opened(path) as made:
        made.record_proven([one, other])
        made.record_finished([folder_of(1)])
    with opened(path) as again:
        assert again.proven("acme", "") == one
        assert again.proven("acme", "abc") == other
        assert again.proven("acme", "ab") is again.proven("b", "") is None
        again.forget_proven()
        assert again.proven("acme", "") is again.proven("acme", "abc") is None
        assert again.finished("acme"), "of another kind"


@pytest.mark.parametrize(
    ("prefix", "body"),
    [
        ("abcd", ["key", "state", NOW, ""]),
        ("xyz", ["key", "state", NOW, ""]),
        ("abc", ["key", "state", -1.0, ""]),
        ("abc", ["key", "state", NOW]),
        ("abc", ["key", 1, NOW, ""]),
        ("abc", None),
    ],
)
def test_a_proof_that_cannot_be_is_none(prefix: str, body: object) -> None:
    assert record_codec.read_proven("acme", prefix, body) is None
    assert record_codec.read_proven("acme", "abc", ["key", "state", 0, ""]) == ProvenShard(
        "acme", "abc", "key", "state", 0
    )


def test_a_report_is_kept_with_its_run(ledger: Ledger) -> None:
    begin(ledger, "run-1", NOW)
    assert ledger.report("run-1") is None
    ledger.save_report("run-1", {"settle": 30, "name": "é\n"})
    assert ledger.report("run-1") == {"settle": 30, "name": "é\n"}
    assert ledger.report("run-2") is None
    assert record_codec.read_report("run-1", ["no", "report"]) is None


def test_a_run_is_found_by_its_id_with_how_far_it_came(ledger: Ledger) -> None:
    begin(ledger, "run-1", NOW)
    begin(ledger, "run-2", NOW + 1)
    ledger.save_progress("run-1", TOTALS, NOW + 5, (10, 100, False))
    found = ledger.run("run-1")
    assert found is not None
    assert (found.run_id, found.progress_at, found.totals, found.expected) == (
        "run-1",
        NOW + 5,
        TOTALS,
        (10, 100, False),
    )
    ledger.end_run("run-1", exit_status=0, ended_at=NOW + 6, totals=TOTALS)
    ended = ledger.run("run-1")
    assert ended is not None
    assert (ended.exit_status, ended.ended_at, ended.expected) == (0, NOW + 6, (10, 100, False))
    other = ledger.run("run-2")
    assert other is not None
    assert (other.progress_at, other.exit_status, other.expected) == (None, None, None)
    assert ledger.run("run-3") is None
    begin(ledger, "run-30", NOW)
    assert ledger.run("run-3") is None, "its name only begins alike"


def test_problems_of_one_run_are_forgotten_and_no_others(ledger: Ledger) -> None:
    for run_id in ("run-1", "run-2"):
        begin(ledger, run_id, NOW)
        ledger.record_problems(run_id, [problem_of(1)])
    ledger.forget_problems("run-1")
    assert ledger.problems("run-1") == []
    assert ledger.problem_counts("run-1") == {}
    assert ledger.problems("run-2") == [problem_of(1)]
    assert ledger.problem_counts("run-2") == {"failed": 1}


def test_problems_of_the_first_version_are_read_too() -> None:
    assert record_codec.read_problem(["failed", "acme", "/where", "why", RAW_ID, 3]) == Problem(
        "failed", "acme", "/where", "why", RAW_ID, 3
    )
    whole = Problem("failed", "acme", "/where", "why", RAW_ID, 3, "s3://there", "a-code", "a-request")
    assert record_codec.read_problem(record_codec.problem_body(whole)) == whole
    for broken in (
        ["odd", "acme", "/where", "why", RAW_ID, 3],
        ["failed", "acme", "/where", "why", "no-id", 3],
        ["failed", "acme", "/where", "why", RAW_ID, -1],
        ["failed", "acme", "/where", "why", RAW_ID, 3, "s3://there"],
        ["odd", "acme", "/where", "why", RAW_ID, 3, "s3://there", "a-code", "a-request"],
        None,
    ):
        assert record_codec.read_problem(broken) is None


def test_finished_folders_of_earlier_versions_are_not_read() -> None:
    folder = folder_of(7)
    body = record_codec.finished_body(folder)
    assert record_codec.read_finished("acme", "007", body) == folder
    for prefix, broken in (("00", body), ("00x", body), ("007", "1 2 3 4 5"), ("007", [1, 2, 3, 4, 5]), ("007", {})):
        assert record_codec.read_finished("acme", prefix, broken) is None
