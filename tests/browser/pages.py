"""Reports as large and as hostile as they get, for the page."""

from __future__ import annotations

import random

from migrator.config.env_file import Setting
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import Problem
from migrator.core.outcomes import Outcome
from migrator.core.tally import Count, Shape, Tally
from migrator.reports.estimate import Measured, Space, Work, estimate_of
from migrator.reports.report import Evidence, Report, ReportRow
from migrator.sync.totals import Timeline, TimelineStep, Totals

HOSTILE = (
    "<script>window.ran=1</script>",
    '"><img src=x onerror="window.ran=1">',
    "</style><script>window.ran=1</script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe",
    '=HYPERLINK("http://evil.example")',
    "a" * 300,
    "شركة-اختبار",
    "市役所",
    "javascript:window.ran=1",
    "\x1b[31mred\x00",
)
NEXT_STEPS = (
    "What to do next",
    "  1. Stop Bytes, rerun this command with --full for what came in meanwhile, and continue only if it ends with 0.",
    "  2. Give Bytes these settings:",
    "       S3_BUCKET=openkat-raw-files",
    "       BUCKET_PER_ORG=false",
    "  3. Start Bytes and open some raw file in OpenKAT, an old one and a new one.",
)


def page_of(
    organizations: int, problems: int = 0, *, hostile: bool = False, dry_run: bool = False, seed: int = 1
) -> Report:
    """A report of so many organizations, with so many problems in them."""
    generator = random.Random(seed)
    totals = Totals()
    names = [*(HOSTILE if hostile else ()), *(f"organization-{number:04}" for number in range(organizations))]
    for name in names[:organizations]:
        totals.organizations[name] = _tally(generator, dry_run=dry_run)
    totals.shape, totals.course = _shape(generator), _course(generator)
    totals.add_problems([_problem(generator, names, number) for number in range(problems)])
    for problem in totals.problems if problems < 2000 else ():
        _add(totals, problem)
    rows = tuple(
        ReportRow(organization=name, bucket=f"openkat-{name}", tally=tally)
        for name, tally in totals.organizations.items()
    )
    return Report(
        command="plan" if dry_run else "migrate",
        run="" if dry_run else "20260102-030405-abcdef",
        source="/var/lib/kat-bytes (disk)",
        target="s3://openkat-{organization} at https://s3.example.org",
        dry_run=dry_run,
        rows=rows,
        totals=totals,
        findings=_findings(problems),
        settings=(
            Setting("S3_BUCKET_PREFIX", "openkat-", "/etc/kat/bytes.conf line 3"),
            Setting("AWS_SECRET_ACCESS_KEY", "S3CR3T", "process environment"),
            Setting("AWS_ENDPOINT_URL", HOSTILE[0] if hostile else "https://s3.example.org", "--endpoint-url"),
        ),
        buckets_to_create=("openkat-acme",) if dry_run else (),
        next_steps=() if dry_run else NEXT_STEPS,
        seconds=754.0,
        started=1_767_323_045.0,
        estimate=_estimate(totals) if dry_run else None,
        evidence=(Evidence(name="files.ndjson", sha256="ab" * 32, lines=problems),) if problems else (),
    )


def _tally(generator: random.Random, *, dry_run: bool) -> Tally:
    tally = Tally()
    files = int(generator.paretovariate(0.9) * 40)
    copied = int(files * generator.random())
    tally[Outcome.MISSING if dry_run else Outcome.COPIED].merge(Count(copied, copied * 13_400))
    tally[Outcome.PRESENT].merge(Count(files - copied, (files - copied) * 13_400))
    return tally


def _add(totals: Totals, problem: Problem) -> None:
    tally = totals.organizations.get(problem.organization)
    if tally is None:
        return
    for outcome in Outcome:
        if outcome.value == problem.kind:
            tally[outcome].add(problem.size)
    if problem.kind == "stray":
        tally.stray.add(problem.size)


def _problem(generator: random.Random, names: list[str], number: int) -> Problem:
    kind, reason = generator.choice(
        [
            ("failed", "The server does not allow this on {target} (AccessDenied)."),
            ("conflict", "the target holds other content under this name"),
            ("stray", "a file that is no index folder (three lower-case hex characters)"),
            ("vanished", "deleted while it was copied"),
        ]
    )
    name = names[number % len(names)]
    raw_id = f"{number:08x}-1111-4222-8333-444455556666"
    target = f"s3://openkat-{name}/{raw_id}"
    return Problem(
        kind,
        name,
        f"/var/lib/kat-bytes/{name}/{raw_id[:3]}/{raw_id}",
        reason.format(target=target),
        raw_id,
        generator.randrange(100_000),
        target,
        "access-denied" if kind == "failed" else "",
        "17A1F0E9C2B3D4E5" if kind == "failed" else "",
    )


def _shape(generator: random.Random) -> Shape:
    shape = Shape()
    for _ in range(5_000):
        size = int(generator.lognormvariate(9, 2.2)) if generator.random() > 0.02 else 0
        day = 19_000 + int(generator.random() ** 0.5 * 1_300)
        shape.add(size, day * 86_400 * 10**9, moved=generator.random() < 0.6)
    return shape


def _course(generator: random.Random) -> Timeline:
    steps = [
        TimelineStep(900 + generator.randrange(400), 800, 10**7, generator.randrange(40) * (number % 9 == 0))
        for number in range(95)
    ]
    return Timeline(seconds_per_step=8, steps=steps)


def _findings(problems: int) -> tuple[Finding, ...]:
    passed = Finding(name="bucket-names", status=FindingStatus.PASS, seen="All 3 bucket names follow S3's rules.")
    warning = Finding(
        name="server-abilities",
        status=FindingStatus.WARNING,
        seen="This server lacks some protections that S3 has: no conditional writes.",
        why="Nothing is lost by it; it costs requests and time.",
    )
    return (passed, warning) if problems else (passed,)


def _estimate(totals: Totals):
    missing = {name: tally[Outcome.MISSING] for name, tally in totals.organizations.items()}
    work = Work(
        missing=missing,
        discovered=totals.overall().discovered.files,
        shape=totals.shape,
        buckets_to_create=1,
        to_s3=True,
    )
    return estimate_of(work, Measured(latency=0.012, space=Space(10**9, 10**6, 4096)))
