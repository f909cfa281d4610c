"""What `plan` and `migrate` look at first."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from migrator.app.bytes_call_replays import names_taken, newest_replays
from migrator.app.first_check_result import Prepared
from migrator.app.options import Options
from migrator.app.ownership import bytes_user, owner_for
from migrator.app.place_locks import Ground, refuse_held
from migrator.app.sample_and_rights import first_findings
from migrator.app.stopping import Stopping
from migrator.app.store_factory import as_refusal, overview_of, patience_of, reading_both, writing
from migrator.config.locations import Location, Locations, S3Location, endpoint_identity
from migrator.config.time_filter import Ages
from migrator.core.cancellation import Flag
from migrator.core.errors import AccessDenied, CannotStart, SettingsError, StoreError
from migrator.core.findings import Finding
from migrator.core.naming import broken_bucket_rule, is_sent_by_boto3
from migrator.core.notices import Denial
from migrator.core.parallel_calls import run_concurrently
from migrator.core.protocols import Source
from migrator.doctor.denied_buckets import denials_by, denied_findings
from migrator.doctor.finding_names import LIBCURL_MISSING, SERVICE_USER
from migrator.doctor.finding_shorthands import warned
from migrator.doctor.server import region_finding
from migrator.ledger.ledger import Ledger
from migrator.reports.formatting import plural
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.http.curl import is_available
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.target import S3Target, are_alike
from migrator.sync.source_overview import as_forced, check_bucket_names, refuse_errors
from migrator.sync.totals import Totals


def prepare_ends(
    locations: Locations, options: Options, source: Source, target: Source, *, to_write: bool = True
) -> Prepared:
    """Look at both ends without writing.

    `to_write`: the target is to be written, by this run or by the one that is planned, so rights and room matter.

    Raises:
        CannotStart: If something makes even a plan pointless.
        SettingsError: If a setting does.
        AccessDenied: If every bucket of the target refuses.
    """  # noqa: DOC501 made by next()
    with as_refusal():
        overview = overview_of(locations.source, source, options)
        findings = [*locations.findings, *age_findings(locations.source, options.ages)]
        refused: frozenset[str] = frozenset()
        to_create: tuple[str, ...] = ()
        denied: dict[str, Denial] = {}
        there: tuple[str, ...] = ()
        if isinstance(target, S3Source):
            names = [(organization, target.bucket_of(organization)) for organization in overview.organizations]
            finding, refused = check_bucket_names(names, _taken_in_spite_of_rules(target, locations, options, names))
            findings.append(finding)
            wanted = list(dict.fromkeys(bucket for organization, bucket in names if organization not in refused))
            exists = run_concurrently([partial(_exists_or_denied, target, bucket) for bucket in wanted])
            answers = dict(zip(wanted, exists, strict=True))
            refusing = {bucket: error for bucket, error in answers.items() if isinstance(error, AccessDenied)}
            if refusing and len(refusing) == len(wanted):
                raise next(iter(refusing.values()))
            there = tuple(bucket for bucket, is_there in answers.items() if is_there is True)
            to_create = tuple(bucket for bucket, is_there in answers.items() if is_there is False)
            denied = denials_by(refusing, names)
            findings += denied_findings(refusing)
            with suppress(AccessDenied):  # one that may not be listed is told with what its organization comes to
                if there:
                    target.is_empty(next(organization for organization, bucket in names if bucket in there))
        given, locations = locations, adapted(locations, source, target)
        findings += (*region_findings(given, locations), *listing_findings(locations))
        seen = Prepared(
            locations=locations,
            overview=overview,
            findings=tuple(findings),
            refused=refused,
            buckets_to_create=to_create,
            buckets_there=there,
            denied=denied,
            is_part=bool(options.organizations or options.ages),
            owner=None if SERVICE_USER in options.forced else owner_for(bytes_user(locations.target, options)),
        )
        if not to_write:
            return replace(seen, findings=as_forced(findings, options.forced))
        more, no_right = first_findings(seen, options, source, target)
        return replace(seen, findings=as_forced((*findings, *more), options.forced), denied={**denied, **no_right})


def _taken_in_spite_of_rules(
    target: S3Source, locations: Locations, options: Options, names: Sequence[tuple[str, str]]
) -> frozenset[str]:
    """Of buckets whose names break S3's rules: those that the server has, or that a look of `doctor --probe` made."""
    odd = [bucket for bucket in dict.fromkeys(bucket for _, bucket in names) if broken_bucket_rule(bucket)]
    sent = [bucket for bucket in odd if is_sent_by_boto3(bucket)]
    if not sent or not isinstance(locations.target, S3Location):
        return frozenset()

    def is_there(bucket: str) -> bool:
        try:
            return target.bucket_exists(bucket)
        except StoreError as error:
            if error.temporary:
                raise
            return False  # servers refuse such a name in many ways; what else is wrong shows at the next bucket

    exists = run_concurrently([partial(is_there, bucket) for bucket in sent])
    taken = names_taken(newest_replays(options.state, locations.target, sent))
    return taken | {bucket for bucket, is_so in zip(sent, exists, strict=True) if is_so}


def adapted(locations: Locations, source: Source, target: Source) -> Locations:
    """The locations with what both stores learned of their servers, so that all that follows does right at once."""
    return replace(
        locations,
        source=source.adapted if isinstance(source, S3Source) else locations.source,
        target=target.adapted if isinstance(target, S3Source) else locations.target,
    )


def listing_findings(locations: Locations) -> Iterator[Finding]:
    """Each server that knows only the first version of the listing."""
    for end in dict.fromkeys((locations.source, locations.target)):
        if isinstance(end, S3Location) and end.access.lists_by_v1:
            yield warned(
                "lists-by-v1",
                f"The server of {end} refuses ListObjectsV2, or does not know it; it is listed by ListObjects.",
                "Both list the same.",
            )


def region_findings(given: Locations, now: Locations) -> Iterator[Finding]:
    """Each end whose server named another region than the settings do."""
    for before, after in ((given.source, now.source), (given.target, now.target)):
        if isinstance(before, S3Location) and isinstance(after, S3Location):
            named, region = after.access.region, before.access.region
            if named != region:
                yield region_finding(str(after), named or "", region)


def prepare_to_migrate(locations: Locations, options: Options, stopping: Stopping) -> Prepared:
    """Return all that can be known before anything is written, for showing and asking.

    Raises:
        CannotStart: If an error is found that is not forced, or a bucket is missing and none may be made.
        SettingsError: If an option applies to neither end.
    """
    refuse_idle_limits((locations.source, locations.target), options)
    with reading_both(locations, options, stopping.event) as (source, target, patience, _):
        prepared = prepare_ends(locations, options, source, target)
        with as_refusal():
            refuse_held(Ground(prepared=prepared, source=source, target=target, patience=patience))
    refuse_errors(prepared.findings, options.forced)
    if prepared.buckets_to_create and not options.create_buckets:
        raise CannotStart(
            "bucket-missing",
            f"These buckets do not exist: {', '.join(prepared.buckets_to_create[:10])}.",
            cure="Make them first, or leave out --no-create-buckets.",
        )
    return prepared


def _exists_or_denied(target: S3Source, bucket: str) -> bool | AccessDenied:
    try:
        return target.bucket_exists(bucket)
    except AccessDenied as error:
        return error


def age_findings(source: Location, ages: Ages) -> Iterator[Finding]:
    """What a filter by age leaves out, and by which time."""
    if not ages:
        return
    on_s3 = isinstance(source, S3Location)
    time_of = "LastModified" if on_s3 else "their modification time"
    moved = " LastModified is when an object was written: after a move to S3, that is the date of the move."
    yield warned(
        "age-filter",
        f"Only raw files {ages.in_words()} count, by {time_of}.",
        "Neither others nor what is only at the target is counted; no folder counts as finished."
        + (moved if on_s3 else ""),
    )


def undated_findings(ages: Ages, undated: int, *, deletes: bool = False) -> Iterator[Finding]:
    """How many raw files of the source have no date, where an age was asked for; `deletes`: by a command that deletes."""
    if not ages or not undated:
        return
    done = "kept" if deletes else "included, whatever their age is"
    yield warned(
        "age-unknown",
        f"The source's server lists no date for {plural(undated, 'raw file')}: {done}.",
        "Copying and verifying include them; `prune` keeps them.",
    )


def undated_in(totals: Totals, source: object) -> int:
    """How many of the counted raw files have no date. On disk all have one."""
    return totals.shape.undated if isinstance(source, S3Location) else 0


def refuse_idle_limits(ends: Iterable[Location], options: Options, *, writes: bool = True) -> None:
    """Refuse a limit that applies to no end: no option is silently ignored. `writes` is whether the command writes to a disk.

    Raises:
        SettingsError: If no end is on S3, and --max-requests is given, or --bandwidth where nothing is written.
    """
    if any(isinstance(end, S3Location) for end in ends):
        return
    if options.limits.bandwidth is not None and not writes:
        raise SettingsError(
            "option-without-end",
            "--bandwidth applies to no end.",
            why="It limits what is read from S3; nothing here is on S3.",
            cure="Leave it out.",
        )
    if options.limits.requests is not None:
        raise SettingsError(
            "option-without-end",
            "--max-requests applies to no end.",
            why="It limits requests to S3; nothing here is on S3.",
            cure=f"Leave it out{', or limit the bytes with --bandwidth' if writes else ''}.",
        )


def ability_findings(abilities: Capabilities) -> Iterator[Finding]:
    """Return a warning that names the protections of S3 that the server lacks, if any."""
    words = abilities.in_words() if abilities != Capabilities() else ""
    if not words:
        return
    yield warned(
        "server-abilities",
        f"This server lacks some protections that S3 has: {words}.",
        "Nothing is lost by it; it costs requests and time.",
    )


def lane_findings(locations: Locations) -> Iterator[Finding]:
    """Return a warning where small objects go by the slow lane, since libcurl is missing."""
    has_s3 = any(isinstance(location, S3Location) for location in (locations.source, locations.target))
    if is_available() or not has_s3:
        return
    yield warned(
        LIBCURL_MISSING,
        "pycurl, Python's libcurl, cannot be imported: every raw file takes the slower lane.",
        "Small files cost ten times the CPU.",
        f"Install it: {sys.executable} -m pip install pycurl",
    )


def abilities_of(
    prepared: Prepared, options: Options, ledger: Ledger, run_id: str, stopping: Flag
) -> tuple[Capabilities, Prepared]:
    """What the server can do, from the ledger or by a probe in the first bucket, which is made for it: then it counts as there.

    No worker makes that bucket a second time: where the server lost it meanwhile, the run ends rather than to go on in an empty one.
    """
    location = prepared.locations.target
    movable = prepared.movable
    if not isinstance(location, S3Location) or not movable:
        return Capabilities(), prepared
    place = _place_of(location, movable[0])
    known = Capabilities.from_dict(ledger.abilities(place, time.time()) or {})
    if known is not None:
        return known, _signing_payloads(prepared, location, known)
    patience = patience_of(options, stopping)
    opened = writing(
        location,
        patience,
        run_id=run_id,
        abilities=Capabilities(),
        create_buckets=options.create_buckets,
        buckets_there=prepared.buckets_there,
    )
    with as_refusal(), opened as target:
        target.prepare(movable[0])
        # the same name each time, so that what a killed run left of its probe goes with the next one's
        source = prepared.locations.source
        copies = isinstance(source, S3Location) and are_alike(source.access, location.access)
        known = (
            target.probe(movable[0], ledger.path.stem, copies=copies)
            if isinstance(target, S3Target)
            else Capabilities()
        )
    ledger.save_abilities(place, known.as_dict(), time.time())
    made = location.naming.bucket_of(movable[0])
    prepared = replace(prepared, buckets_there=tuple(dict.fromkeys((*prepared.buckets_there, made))))
    return known, _signing_payloads(prepared, location, known)


def _place_of(location: S3Location, organization: str) -> str:
    """What the ledger knows the server's abilities by."""
    return f"{endpoint_identity(location.access.endpoint_url)} {location.naming.bucket_of(organization)}"


def with_learned(
    findings: tuple[Finding, ...], abilities: Capabilities, learned: Mapping[str, int]
) -> tuple[Finding, ...]:
    """Return the findings with what workers `learned` of the server's abilities, told once."""
    if not learned:
        return findings
    others = tuple(one for one in findings if one.name != "server-abilities")
    return (*others, *ability_findings(abilities.with_learned(learned)))


def keep_learned(prepared: Prepared, ledger: Ledger, abilities: Capabilities, learned: Mapping[str, int]) -> None:
    """Keep what workers `learned`, so that the next run does right at once."""
    location = prepared.locations.target
    movable = [name for name in prepared.overview.organizations if name not in prepared.refused]
    if learned and isinstance(location, S3Location) and movable:
        known = abilities.with_learned(learned)
        ledger.save_abilities(_place_of(location, movable[0]), known.as_dict(), time.time())


def _signing_payloads(prepared: Prepared, target: S3Location, known: Capabilities) -> Prepared:
    """Have all that follows sign content where the server insists on it: each worker would find it out anew."""
    access = replace(target.access, signs_payloads=not known.unsigned_payload)
    return replace(prepared, locations=replace(prepared.locations, target=replace(target, access=access)))
