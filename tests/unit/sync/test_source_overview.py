"""What is known before anything is moved: organizations, emptiness, bucket names."""

from __future__ import annotations

import pytest

from migrator.core.entities import RawFile
from migrator.core.errors import AccessDenied, CannotStart, SettingsError
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import Notice, NoticeKind
from migrator.sync.source_overview import check_bucket_names, names_cure, overview_of_source, refuse_errors
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule, TellingStore
from tests.memory_store import MemoryStore

ID = raw_id("0001")


def store_with(*organizations: str) -> MemoryStore:
    made = MemoryStore()
    for name in organizations:
        made.save(RawFile(name, ID), b"x")
    return made


def test_all_organizations_are_found_and_what_lies_beside_them() -> None:
    store = store_with("b", "a", "a-b")
    store.add_beside("README.txt", 7)
    look = overview_of_source(store, "here", (), allow_empty=False)
    assert look.organizations == ("a", "a-b", "b")
    assert [problem.where for problem in look.problems] == ["memory:README.txt"]
    assert look.stray_bytes == 7


def test_chosen_organizations_are_taken_once_and_in_order() -> None:
    look = overview_of_source(store_with("a", "b", "c"), "here", ("c", "a", "c"), allow_empty=False)
    assert (look.organizations, look.problems) == (("a", "c"), ())


@pytest.mark.parametrize(
    ("chosen", "cure"),
    [
        ("alhpa", "Did you mean 'alpha'? It has: alpha, beta."),
        ("zzz", "It has: alpha, beta."),
        ("Not A Slug!", "It has: alpha, beta."),
        ("../alpha", "Did you mean 'alpha'? It has: alpha, beta."),
    ],
)
def test_an_organization_that_is_not_there(chosen: str, cure: str) -> None:
    for allow_empty in (False, True):
        with pytest.raises(SettingsError) as caught:
            overview_of_source(store_with("alpha", "beta"), "here", (chosen,), allow_empty=allow_empty)
        assert (caught.value.name, caught.value.cure) == ("organization-unknown", cure)
        assert "here" in caught.value.what


def test_an_unknown_organization_of_an_empty_place_or_one_that_cannot_be_listed() -> None:
    with pytest.raises(SettingsError, match="no organizations at all"):
        overview_of_source(MemoryStore(), "here", ("alpha",), allow_empty=False)
    denied = FailingStore(MemoryStore(), Schedule(always={"organizations": AccessDenied("access-denied", "No.")}))
    with pytest.raises(SettingsError, match="Check the spelling"):
        overview_of_source(denied, "here", ("alpha",), allow_empty=False)


def test_many_organizations_are_not_all_listed() -> None:
    names = [f"org-{number:02}" for number in range(30)]
    with pytest.raises(SettingsError) as caught:
        overview_of_source(store_with(*names), "here", ("zzz",), allow_empty=False)
    assert caught.value.cure.endswith("org-09, ….")


def test_an_empty_source_is_an_error_unless_that_is_fine() -> None:
    """A volume that is not mounted must not look like success."""
    no_raw_file = MemoryStore()
    no_raw_file.prepare("org")
    no_raw_file.add_stray("org", "README")
    for store in (MemoryStore(), no_raw_file):
        with pytest.raises(CannotStart) as caught:
            overview_of_source(store, "here", (), allow_empty=False)
        assert caught.value.name == "source-empty"
        overview_of_source(store, "here", (), allow_empty=True)


def test_the_folder_of_an_organization_is_no_data_folder() -> None:
    store = MemoryStore()
    for index in ("0a1", "fff"):
        store.prepare(index)
    with pytest.raises(CannotStart) as caught:
        overview_of_source(store, "here", (), allow_empty=False)
    assert caught.value.name == "one-level-too-deep"


def test_organizations_that_are_named_like_index_folders_are_fine() -> None:
    assert overview_of_source(store_with("abc", "123"), "here", (), allow_empty=False).organizations == ("123", "abc")


def test_a_folder_that_cannot_be_read_is_no_emptiness() -> None:
    store = MemoryStore()
    store.prepare("org")
    telling = TellingStore(store, Notice(NoticeKind.UNREADABLE_FOLDER, "here/org/abc", "no right", "org"))
    assert overview_of_source(telling, "here", (), allow_empty=False).organizations == ("org",)


def test_a_listing_that_fails_comes_out() -> None:
    denied = FailingStore(store_with("a"), Schedule(always={"organizations": AccessDenied("access-denied", "No.")}))
    with pytest.raises(AccessDenied):
        overview_of_source(denied, "here", (), allow_empty=True)


# --- bucket names and findings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("buckets", "status", "refused"),
    [
        ([], "pass", set()),
        ([("a", "bytes-a")], "pass", set()),
        ([("a", "bytes-a"), ("b", "bytes-b")], "pass", set()),
        ([("a", "bytes-a"), ("b_c", "bytes-b_c")], "error", {"b_c"}),
        ([("a", "OpenKAT-a"), ("b", "OpenKAT-b")], "error", {"a", "b"}),
    ],
)
def test_bucket_names(buckets: list[tuple[str, str]], status: str, refused: set[str]) -> None:
    finding, found = check_bucket_names(buckets)
    assert (finding.name, finding.status.value, found) == ("bucket-names", status, refused)
    for organization in refused:
        assert organization in finding.seen
    assert bool(finding.cure) is (status == "error")


def test_many_invalid_bucket_names_are_not_all_listed() -> None:
    finding, found = check_bucket_names([(f"o{number}", f"B{number}") for number in range(25)])
    assert len(found) == 25
    assert "25 of 25" in finding.seen
    assert finding.seen.endswith("; and 15 more.")


def test_only_errors_that_were_not_forced_refuse() -> None:
    fine = Finding(name="one", status=FindingStatus.PASS, seen="Fine.")
    warning = Finding(name="two", status=FindingStatus.WARNING, seen="Hm.")
    error = Finding(name="three", status=FindingStatus.ERROR, seen="Bad.", why="Because.", cure="Do this.")
    refuse_errors([fine, warning], frozenset())
    refuse_errors([fine, warning, error], frozenset({"three"}))
    with pytest.raises(CannotStart) as caught:
        refuse_errors([fine, warning, error], frozenset({"two"}))
    assert (caught.value.name, str(caught.value)) == ("three", "Bad. Because. Do this.")


@pytest.mark.parametrize(
    ("buckets", "accepted", "status", "refused", "words"),
    [
        ([("b_c", "raw-b_c"), ("a", "raw-a")], {"raw-b_c"}, "warning", set(), "1 of 2 bucket names break S3's rules"),
        ([("a", "OpenKAT-a"), ("b", "OpenKAT-b")], {"OpenKAT-a"}, "error", {"b"}, "1 of 2 bucket names are invalid"),
        ([("a", "My_Bucket"), ("b", "My_Bucket")], set(), "error", {"a", "b"}, "1 of 1 bucket names are invalid"),
        ([("a", "My_Bucket"), ("b", "My_Bucket")], {"My_Bucket"}, "warning", set(), "1 of 1 bucket names break"),
        (
            [("éé", "raw-éé")],
            {"raw-éé"},
            "error",
            {"éé"},
            "own S3 client sends no request",
        ),  # the server is never asked
        ([("a", "r" * 256)], {"r" * 256}, "error", {"a"}, "own S3 client sends no request"),
    ],
)
def test_a_server_that_has_the_bucket_decides_where_boto3_sends_the_name(
    buckets: list[tuple[str, str]], accepted: set[str], status: str, refused: set[str], words: str
) -> None:
    finding, found = check_bucket_names(buckets, accepted)
    assert (finding.status.value, found) == (status, refused)
    assert words in finding.seen


@pytest.mark.parametrize(
    ("buckets", "says", "says_not"),
    [
        ([("a", "OpenKAT-a")], "another S3_BUCKET_PREFIX", "No S3_BUCKET_PREFIX helps"),
        ([("b" * 32, "x" * 40 + "b" * 32)], "another S3_BUCKET_PREFIX", "No S3_BUCKET_PREFIX helps"),
        ([("b_c", "raw-b_c")], "No S3_BUCKET_PREFIX helps 'b_c'", "Set another S3_BUCKET_PREFIX"),
        ([("ends-", "raw-ends-")], "No S3_BUCKET_PREFIX helps 'ends-'", "Set another S3_BUCKET_PREFIX"),
        ([("éé", "raw-éé")], "No S3_BUCKET_PREFIX helps 'éé'", "doctor --probe"),
        ([("a", "OpenKAT-a"), ("b_c", "OpenKAT-b_c")], "No S3_BUCKET_PREFIX helps 'b_c'", "Set another"),
        ([("a", "OpenKAT"), ("b", "OpenKAT")], "Set another S3_BUCKET:", "S3_BUCKET_PREFIX"),
    ],
)
def test_another_prefix_is_a_cure_only_where_the_prefix_is_wrong(
    buckets: list[tuple[str, str]], says: str, says_not: str
) -> None:
    cure = names_cure(buckets)
    assert says in cure
    assert says_not not in cure
