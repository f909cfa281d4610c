"""The other forms of a report: the schema of its JSON, the table, the page, and what the ledger gives back."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from migrator.core.notices import Problem
from migrator.core.tally import Count, Shape
from migrator.ledger.record_codec import RunRow, decode, encode
from migrator.reports.csv import cell, report_as_csv
from migrator.reports.formatting import shown
from migrator.reports.html.page import report_as_html
from migrator.reports.json import report_as_json
from migrator.reports.report import Report
from migrator.reports.stored_form import as_kept, report_again
from migrator.reports.text.verify import Verification, verification_as_text
from migrator.sync.totals import MOST_STEPS, Timeline
from tests.browser.pages import HOSTILE, page_of
from tests.unit.reports.samples import report_of, reports, tally_of

ROOT = Path(__file__).parents[3]
SCHEMA = Draft202012Validator(json.loads((ROOT / "docs" / "report.schema.json").read_text()))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)


@given(reports())
def test_every_report_keeps_to_the_published_schema(report: Report) -> None:
    document = json.loads(report_as_json(report))
    SCHEMA.validate(document)
    assert set(document) == set(SCHEMA.schema["required"]), "the schema names what there is"


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_large_report_keeps_to_it_too(dry_run: bool) -> None:
    document = json.loads(report_as_json(page_of(50, 3_000, hostile=True, dry_run=dry_run)))
    SCHEMA.validate(document)
    assert len(document["problems"]) == 1_000
    assert document["problems_total"] == 3_000 == sum(group["count"] for group in document["problem_groups"])


def test_the_schema_can_say_no() -> None:
    document = json.loads(report_as_json(report_of({"alpha": tally_of(copied=(1, 1))})))
    document["totals"]["copied"]["files"] = -1
    assert not SCHEMA.is_valid(document)


@given(reports())
def test_the_table_reads_back_and_adds_up(report: Report) -> None:
    rows = list(csv.reader(io.StringIO(report_as_csv(report))))
    head, *body = rows
    assert all(len(row) == len(head) for row in rows)
    assert len(body) == len(report.rows) + 1
    files = head.index("copied_files")
    assert sum(int(row[files]) for row in body[:-1]) == int(body[-1][files])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", " =1", "＝1", "\t=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text).lstrip()[0] in "'\\"


@given(reports())
def test_no_cell_of_any_report_is_a_formula(report: Report) -> None:
    for row in csv.reader(io.StringIO(report_as_csv(report))):
        assert not any(text.lstrip().startswith(("=", "+", "-", "@")) for text in row)


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@given(reports())
def test_names_bring_no_element_into_the_page(report: Report) -> None:
    html = report_as_html(report)
    seen = _Seen()
    seen.feed(html)
    assert seen.tags.count("script") == seen.tags.count("style") == 1
    assert not {name for name, _ in seen.attributes} & {"src", "href", "style", "srcset", "action"}
    assert not any(name.startswith("on") for name, _ in seen.attributes)
    assert "S3CR3T" not in html


def test_hostile_names_stand_in_the_page_as_text() -> None:
    html = report_as_html(page_of(20, 40, hostile=True))
    assert "&lt;script&gt;window.ran=1&lt;/script&gt;" in html
    assert "{{ 7 * 7 }}" in html
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert all(shown(name)[:40].isprintable() for name in HOSTILE)


def test_the_policy_is_of_what_the_page_holds() -> None:
    import base64
    import hashlib

    html = report_as_html(page_of(2))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    for tag in ("style", "script"):
        found = re.search(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert found
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy[1]
    assert "default-src &#39;none&#39;" in policy[1]


def test_a_page_of_a_thousand_organizations_and_problems_is_under_a_megabyte() -> None:
    assert len(report_as_html(page_of(1_000, 1_000)).encode()) < 1_000_000


@pytest.mark.parametrize(
    ("report", "tone"),
    [
        (page_of(2), "good"),
        (page_of(2, dry_run=True), "fine"),
        (report_of({"a": tally_of(missing=(3_001, 9))}, dry_run=True, command="plan"), "fine"),
        (report_of({"a": tally_of(present=(1, 1))}, dry_run=True, command="plan"), "good"),
        (report_of({"a": tally_of(proven=(1, 1))}, command="verify"), "good"),
        (report_of({"a": tally_of(proven=(1, 1), missing=(1, 1))}, command="verify"), "bad"),
        (page_of(2, 30), "bad"),
        (report_of({"a": tally_of(copied=(1, 1))}, interrupted_by="SIGINT"), "bad"),
        (report_of({"a": tally_of(copied=(1, 1))}, state="running"), "todo"),
        (report_of({"a": tally_of(copied=(1, 1))}, state="killed"), "bad"),
    ],
)
def test_the_page_is_green_only_if_all_is_fine(report: Report, tone: str) -> None:
    assert f'class="verdict {tone}"' in report_as_html(report)


def _run_of(report: Report, *, ended: bool = True) -> RunRow:
    started = report.started or 0.0
    return RunRow(
        run_id=report.run,
        command=report.command,
        source=report.source,
        target=report.target,
        settings_fingerprint="",
        started_at=started,
        ended_at=started + report.seconds if ended else None,
        exit_status=report.exit_status if ended else None,
        totals={name: tally.as_dict() for name, tally in report.totals.organizations.items()},
    )


def _again(report: Report, kept: Any, *, ended: bool = True) -> Report:
    problems = report.totals.problems
    counts = {"failed": report.totals.problems_total}
    return report_again(_run_of(report, ended=ended), kept, problems, counts, is_running=False)


def test_a_report_comes_back_from_the_ledger_as_it_was() -> None:
    report = page_of(30, 500, hostile=True)
    kept = decode(encode(as_kept(report)))
    before, after = (json.loads(report_as_json(each)) for each in (report, _again(report, kept)))
    for document in (before, after):
        del document["evidence"]  # the files beside a report are not the ledger's
        for each in ("organizations", "problem_groups"):
            document[each].sort(key=str)
    assert after == before
    assert "S3CR3T" not in encode(as_kept(report))


def test_a_run_without_an_end_is_told_as_killed() -> None:
    report = _again(page_of(2), {}, ended=False)
    assert report.state == "killed"
    assert not report.is_fine


NEARLY = st.one_of(
    JSON_VALUES,
    st.lists(
        st.one_of(
            st.lists(st.lists(st.booleans() | st.integers(-1, 200_000), max_size=3), max_size=3), st.integers(-1, 9)
        ),
        max_size=3,
    ),
    st.lists(
        st.tuples(st.text(max_size=3), st.text(max_size=3), st.booleans() | st.integers(-9, 999)).map(list), max_size=3
    ),
)


@given(st.dictionaries(st.sampled_from(list(as_kept(page_of(1, 5)))), NEARLY))
def test_whatever_stands_in_the_ledger_a_report_comes_of_it(kept: dict[str, Any]) -> None:
    report = _again(page_of(2, 3), kept)
    SCHEMA.validate(json.loads(report_as_json(report)))
    report_as_html(report)


def test_a_heap_of_strays_hides_no_failure() -> None:
    report = report_of({"alpha": tally_of(failed=(1, 1))})
    report.totals.add_problems([Problem("stray", "alpha", f"/x/{number}", "a stray") for number in range(5_000)])
    report.totals.add_problems([Problem("failed", "alpha", "/x", "no right")])
    assert report.totals.problems[0].kind == "failed"
    assert len(report.totals.problems) == 1_000
    assert report.totals.groups == {("stray", "a stray"): 5_000, ("failed", "no right"): 1}


def test_reasons_are_counted_without_the_names_in_them_and_not_without_bound() -> None:
    totals = report_of({}).totals
    totals.add_problems([Problem("failed", "a", f"/x/{n}", f"/x/{n} cannot be read") for n in range(500)])
    assert totals.groups == {("failed", "… cannot be read"): 500}
    totals.add_problems([Problem("failed", "a", "/x", f"reason {n}") for n in range(500)])
    assert len(totals.groups) <= 201
    assert sum(totals.groups.values()) == 1_000


@given(st.lists(st.floats(0, 1_000), min_size=1, max_size=200))
def test_the_course_of_a_run_keeps_all_that_happened_in_few_steps(pauses: list[float]) -> None:
    now = [0.0]
    course = Timeline(clock=lambda: now[0])
    for pause in pauses:
        course.add(tally_of(copied=(2, 20), failed=(1, 1)))
        now[0] += pause
    assert 0 < len(course.steps) <= MOST_STEPS
    assert sum(step.files for step in course.steps) == 3 * len(pauses)
    assert sum(step.errors for step in course.steps) == len(pauses)


def test_shapes_add_up_and_odd_times_do_no_harm() -> None:
    shape = Shape()
    for size, modified_ns in ((0, 0), (1, -5), (1023, 10**30), (1024, 1_700_000_000 * 10**9)):
        shape.add(size, modified_ns, moved=True)
    other = Shape()
    other.merge(shape)
    other.merge(shape)
    assert (other.sizes[0], other.sizes[1], other.sizes[10], other.sizes[11]) == (2, 2, 2, 2)
    assert other.days[0] == 6


@pytest.mark.parametrize(
    ("strays", "words"),
    [
        (1, "1 stray (not a raw file), left where it is"),
        (2, "2 strays (not raw files), left where they are"),
    ],
)
def test_a_verification_tells_one_from_many_as_a_migration_does(strays: int, words: str) -> None:
    tally = tally_of(present=(3, 30), stray=Count(strays, strays))
    report = report_of({"alpha": tally})
    report.totals.add_problems([Problem("stray", "alpha", f"/data/alpha/{number}", "odd") for number in range(strays)])
    known = {field.name: getattr(report, field.name) for field in fields(report)}
    text = verification_as_text(Verification(**known, level="etag"))
    assert words in text.splitlines()


def test_the_page_has_what_needs_a_look_before_the_charts_and_proven_is_good() -> None:
    rows = {"alpha": tally_of(proven=(3, 30)), "beta": tally_of(proven=(1, 1))}
    page = report_as_html(report_of(rows, command="verify"))
    assert page.index('id="problems"') < page.index('id="charts"')
    assert 'class="fill-good"' in page
    assert 'class="fill-bad"' not in page


def test_no_line_of_the_page_ends_within_the_name_of_an_option() -> None:
    """Browsers may end a line after a hyphen: a command that is copied from the page by eye would be another."""
    page = report_as_html(
        report_of({"acme": tally_of()}, next_steps=("What to do next", "  Swap --from and --to <now>."))
    )
    assert 'Swap <span class="whole">--from</span> and <span class="whole">--to</span> &lt;now&gt;.' in page
