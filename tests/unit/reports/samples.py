"""Reports to render, made of anything that a name from outside may be."""

from __future__ import annotations

from hypothesis import strategies as st

from migrator.config.env_file import Setting
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import NoticeKind, Problem
from migrator.core.outcomes import Outcome
from migrator.core.tally import MIGRATION_OUTCOMES, Count, Tally
from migrator.reports.report import Report, ReportRow
from migrator.sync.totals import Totals

ANY_NAME = st.one_of(
    st.sampled_from(["alpha", "a-b", "市役所", "\x1b[31mred", "two\nlines", "\udcff", "\u202egnp.exe", ""]),
    st.text(max_size=10),
)
COUNTS = st.builds(Count, st.integers(0, 5_000), st.integers(0, 10**12))
KINDS = [
    *(
        outcome.value
        for outcome in MIGRATION_OUTCOMES
        if outcome not in (Outcome.COPIED, Outcome.PRESENT, Outcome.MISSING)
    )
]
PROBLEMS = st.builds(
    Problem,
    st.sampled_from([*KINDS, *(kind.value for kind in NoticeKind)]),
    ANY_NAME,
    ANY_NAME,
    ANY_NAME,
    ANY_NAME,
    st.integers(0, 9),
)


def tally_of(*, extra: Count | None = None, stray: Count | None = None, **outcomes: tuple[int, int]) -> Tally:
    """``tally_of(copied=(2, 20))``"""
    made = Tally()
    for name, (files, size) in outcomes.items():
        made[Outcome(name)].merge(Count(files, size))
    made.extra.merge(extra or Count())
    made.stray.merge(stray or Count())
    return made


@st.composite
def tallies(draw: st.DrawFn, *, dry_run: bool) -> Tally:
    never = Outcome.COPIED if dry_run else Outcome.MISSING
    outcomes = {
        outcome: Count() if outcome is never else draw(st.one_of(st.builds(Count), COUNTS))
        for outcome in MIGRATION_OUTCOMES
    }
    return Tally(outcomes=outcomes, extra=draw(COUNTS), stray=draw(COUNTS), unreadable_folders=draw(st.integers(0, 2)))


def report_of(organizations: dict[str, Tally], **more: object) -> Report:
    totals = Totals(organizations=organizations)
    values: dict[str, object] = {
        "command": "migrate",
        "run": "20260102-030405-abcdef",
        "source": "/var/lib/bytes (disk)",
        "target": "s3://bytes-{organization} at AWS",
        "dry_run": False,
        "rows": tuple(
            ReportRow(organization=name, bucket=f"bytes-{name}", tally=tally) for name, tally in organizations.items()
        ),
        "totals": totals,
        "findings": (),
        "settings": (),
        "buckets_to_create": (),
        "next_steps": (),
        "seconds": 75.0,
        **more,
    }
    return Report(**values)  # type: ignore[arg-type]


@st.composite
def reports(draw: st.DrawFn) -> Report:
    dry_run = draw(st.booleans())
    organizations = draw(st.dictionaries(ANY_NAME, tallies(dry_run=dry_run), max_size=4))
    problems = draw(st.lists(PROBLEMS, max_size=30))
    findings = draw(
        st.lists(
            st.builds(
                Finding,
                name=st.just("a-name"),
                status=st.sampled_from(FindingStatus),
                seen=ANY_NAME,
                why=ANY_NAME,
                cure=ANY_NAME,
            ),
            max_size=3,
        )
    )
    totals = Totals(organizations=organizations, beside=draw(COUNTS))
    totals.add_problems(problems)
    return report_of(
        organizations,
        command="plan" if dry_run else "migrate",
        dry_run=dry_run,
        source=draw(ANY_NAME),
        target=draw(ANY_NAME),
        rows=tuple(
            ReportRow(organization=name, bucket=draw(st.none() | ANY_NAME), tally=tally)
            for name, tally in organizations.items()
        ),
        totals=totals,
        findings=tuple(findings),
        settings=(
            Setting("S3_BUCKET", draw(ANY_NAME), draw(ANY_NAME)),
            Setting("AWS_SECRET_ACCESS_KEY", "S3CR3T", "x.env"),
        ),
        buckets_to_create=tuple(draw(st.lists(ANY_NAME, max_size=7))),
        next_steps=tuple(draw(st.lists(ANY_NAME, max_size=2))),
        seconds=draw(st.floats(0, 1e6)),
        counting_is_final=draw(st.booleans()),
        interrupted_by=draw(st.sampled_from(["", "", "SIGINT", "SIGTERM", "SIGHUP"])),
    )
