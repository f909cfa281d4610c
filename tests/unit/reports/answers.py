"""What each command has to show, made up: for golden files of its text at several widths."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from migrator.checks.audit.tally import Audited, AuditTally, Kind
from migrator.config.env_file import Setting
from migrator.config.locations import DiskLocation
from migrator.core.entities import UnfinishedUpload
from migrator.core.errors import MustStop
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import Problem
from migrator.core.tally import Count
from migrator.doctor.finding_shorthands import failed, passed, warned
from migrator.ledger.record_codec import RunRow
from migrator.reports.estimate import Estimate
from migrator.reports.report import ReportRow
from migrator.reports.runbook import Runbook
from migrator.reports.switch_report import Switched, SwitchProposal
from migrator.reports.text.audit import AuditReport
from migrator.reports.text.doctor import DoctorReport
from migrator.reports.text.status import PairStatus
from migrator.reports.text.uploads import SeenUpload, UnclaimedUpload, UnfinishedUploads
from migrator.reports.text.watch import STOPPED, Watched
from migrator.switch.journal import StepTime, Story, SwitchEnd, SwitchPlan
from migrator.switch.steps import STEPS
from tests.unit.reports.samples import report_of, tally_of

AT = 1_767_323_045.0
DISK, S3 = "/var/lib/kat-bytes (disk)", "s3://openkat-raw-files/{organization} at https://s3.example.org"
SETTINGS = (
    Setting("S3_BUCKET", "openkat-raw-files", "new.env line 1"),
    Setting("BUCKET_PER_ORG", "false", "new.env line 2"),
    Setting("AWS_SECRET_ACCESS_KEY", "S3CR3T", "new.env line 5"),
)
RAWS = warned(
    "bytes-raws",
    "On S3, Bytes answers HTTP 500 to GET /bytes/raws.",
    "No Bytes up to 1.20 supports it there. Saved reports, the crisis room and the deduplication of Docker boefjes need it; "
    "single raw files open.",
    "If you need these, stay on disk, or ask OpenKAT to support the call.",
)
CALLS = failed(
    "bytes-calls",
    "Bytes would answer HTTP 500 to every save and every read: to 'create again' the server answers 409 BucketAlreadyOwnedByYou.",
    "Bytes creates the bucket anew each time, and this server refuses that for a bucket that is there already.",
    "Put nginx before the server, with the lines below. To continue anyway: --force bytes-calls.",
)


def doctor() -> DoctorReport:
    return DoctorReport(
        source=DISK,
        target=S3,
        findings=(
            passed("clock-skew", "The clocks of this machine and of the server agree."),
            passed(
                "env-file-form",
                "systemd, Docker Compose and kubectl read every env file alike, and each ends with a newline.",
            ),
            RAWS,
            CALLS,
        ),
        settings=SETTINGS,
        buckets=(("acme", "openkat-raw-files", True), ("gemeente-noord", "openkat-raw-files", False)),
        nginx=("server {", "    listen 127.0.0.1:8334;", "}"),
        probed=True,
        seconds=2.0,
        exit_status=1,
    )


def _run(command: str, at: float, status: int | None, **totals: Count) -> RunRow:
    return RunRow(
        run_id=f"20260102-030405-{int(at):06x}",
        command=command,
        source=DISK,
        target=S3,
        settings_fingerprint="x",
        started_at=AT + at,
        progress_at=AT + at + 60,
        ended_at=None if status is None else AT + at + 90,
        exit_status=status,
        totals={"acme": {name: count.as_dict() for name, count in totals.items()}},
        expected=(40_000, 9 * 10**9, True),
    )


def status() -> tuple[PairStatus, ...]:
    runs = (
        _run("migrate", 400, None, discovered=Count(12_000, 10**9), copied=Count(12_000, 10**9)),
        _run("prune", 300, 0, discovered=Count(900, 10**7), deleted=Count(890, 10**7), kept=Count(10, 1_000)),
        _run("verify", 200, 130, discovered=Count(500, 10**6), proven=Count(500, 10**6)),
    )
    conflict = Problem(
        "conflict",
        "acme",
        "/var/lib/kat-bytes/acme/012/0123abcd-1111-4222-8333-444455556666",
        "another size (31 bytes, 7 at the source)",
        "0123abcd-1111-4222-8333-444455556666",
    )
    return (
        PairStatus(
            source=DISK,
            target=S3,
            ledger="/var/lib/bytes-migrator/0123456789ab-forth.sqlite3",
            is_running=True,
            runs=runs,
            problems=(conflict,),
            problem_counts={"conflict": 1, "stray": 12},
            forced=("latency",),
        ),
    )


def audit() -> AuditReport:
    tally = AuditTally(
        readable=Count(11_690, 10**9), elsewhere=Count(9, 90_000), missing=Count(2, 0), orphaned=Count(1, 5)
    )
    audited = Audited(organizations={"acme": tally, "gemeente-noord": AuditTally(readable=Count(50, 879_000))})
    for kind, raw_id in ((Kind.ELSEWHERE, "0123abcd"), (Kind.MISSING, "fedc9876")):
        where = f"/var/lib/kat-bytes/acme/{raw_id[:3]}/{raw_id}-1111-4222-8333-444455556666"
        audited.add_problem(kind, Problem(kind.value, "acme", where, "it is only at the other location"))
    return AuditReport(
        target=DiskLocation(root=Path("/var/lib/kat-bytes"), folder_mode=0o740, file_mode=0o640),
        source=DiskLocation(root=Path("/mnt/old-data"), folder_mode=0o740, file_mode=0o640),
        database="postgresql://bytes@localhost:5432/bytes",
        contents=False,
        ages="",
        rows=tuple(ReportRow(organization=name, bucket=None, tally=one) for name, one in audited.organizations.items()),
        audited=audited,
        findings=(RAWS,),
        settings=SETTINGS,
        api=None,
        seconds=16.0,
        started=AT,
    )


def proposal() -> SwitchProposal:
    return SwitchProposal(
        run="20260102-030405-abcdef",
        source=DISK,
        target=S3,
        deployment="debian",
        found="/etc/kat/bytes.conf is here",
        stop_command="systemctl stop kat-bytes",
        start_command="systemctl start kat-bytes",
        settings="/etc/kat/bytes.conf",
        backup="/etc/kat/bytes.conf.before-switch-20260102-030405-abcdef",
        diff=("+ S3_BUCKET=openkat-raw-files", "+ BUCKET_PER_ORG=false", "+ AWS_SECRET_ACCESS_KEY=***"),
        missing=tally_of(missing=(40_000, 9 * 10**9)),
        estimate=Estimate(requests={}, seconds=(240.0, 720.0), rests_on=("the pace of the last 3 runs",)),
        listing_seconds=80.0,
        unproven=("Without --api, nobody asks Bytes for raw files.",),
        api="",
        findings=(replace(RAWS), Finding(name="latency", status=FindingStatus.WARNING, seen="An answer takes 90 ms.")),
    )


def switched() -> Switched:
    plan = SwitchPlan(
        run="20260102-030405-abcdef",
        source=DISK,
        target=S3,
        ends=("a", "b"),
        deployment={},
        settings={},
        names=(),
        old_digest="",
        new_digest="",
        words={"from": "disk", "to": "new.env", "env_files": [], "overrides": {}},
    )
    times = [StepTime(step, AT + 10 * number, AT + 10 * number + 7) for number, step in enumerate(STEPS)]
    return Switched(
        proposal=replace(proposal(), unproven=()),
        story=Story(plan, times, SwitchEnd.SWITCHED, AT + 100),
        sample=21,
        newest=3,
        late=1,
        unsure="",
        gave_new=False,
        baseline_size=21,
        proven_old=21,
        proven_newest=3,
        unknown=0,
        backup="/etc/kat/bytes.conf.before-switch-20260102-030405-abcdef",
    )


def runbook() -> Runbook:
    return Runbook(
        deployment="debian",
        source=DISK,
        target=S3,
        words=("--from", "disk", "--to", "new.env"),
        back=("--from", "new.env", "--to", "disk"),
        settings=("S3_BUCKET=openkat-raw-files", "BUCKET_PER_ORG=false"),
        old_settings=("BYTES_DATA_DIR=/var/lib/kat-bytes",),
        nginx=(),
        proxy_url="http://127.0.0.1:8334",
        may_need_nginx=True,
        to_s3=True,
        lost_on_s3=RAWS.seen,
        can_verify=True,
        form=None,
        version="",
    )


def watched() -> Watched:
    """The last pass after Bytes was stopped, with a raw file that is not proven, and Bytes that still writes."""
    last = report_of({"acme": tally_of(copied=(2, 2_000), present=(1_398, 9_000_000))}, source=DISK, target=S3)
    where = "/var/lib/kat-bytes/acme/000/00000001-1111-4222-8333-444455556666"
    return Watched(
        report=last,
        ended_by=STOPPED,
        seconds=7_325.0,
        passes=12,
        rounds=4_100,
        copied=Count(412, 5_000_000),
        lag_files=0,
        lag_seconds=0.0,
        largest_lag_seconds=2.5,
        away_seconds=31.0,
        downtime_seconds=1.2,
        proven=Count(1, 1_000),
        unproven=(Problem("unproven", "acme", where, "it changed while it was compared"),),
        still_writes=True,
    )


def uploads() -> UnfinishedUploads:
    """One of this tool, one that the server has forgotten, and one of unknown origin; begun two hours ago."""
    at = time.time() - 7_200.5
    raw_id = "00000001-1111-4222-8333-444455556666"
    own = UnfinishedUpload("acme", raw_id, "openkat-raw-files", f"acme/{raw_id}", "id-1", 8 << 20, "1", at)
    return UnfinishedUploads(
        (SeenUpload(own, 3, 25_165_824), SeenUpload(own._replace(upload_id="id-2"), None, 0)),
        (UnclaimedUpload("openkat-raw-files", f"acme/{raw_id}", "id-3", at),),
    )


ERROR = MustStop(
    "target-full",
    "Nothing more can be written to /var/lib/kat-bytes/acme/000/00000001-1111-4222-8333-444455556666 (No space left on device).",
    why="The disk has 0 bytes and 1,024 inodes free.",
    cure="Make room, then rerun.",
)
