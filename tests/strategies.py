"""All hypothesis strategies in one place. They do not lean on the code under test to say what is valid."""

from __future__ import annotations

import uuid

from hypothesis import settings
from hypothesis import strategies as st

from migrator.core.entities import Entry, RawFile, RawId

_LOWER_LETTERS_AND_DIGITS = st.characters(categories=["Ll", "Lo", "Lm", "Nd"]).filter(
    lambda letter: letter == letter.lower()
)

FEW = 10
"""Examples of each law in ``pytest --few``."""

INDEXES = "abc", "000", "fff"


def examples(count: int) -> int:
    """`count` for ``max_examples``, or few where few will do."""
    return min(count, FEW) if settings().max_examples == FEW else count


def raw_ids() -> st.SearchStrategy[RawId]:
    """Canonical UUIDs of any version; a few in common index folders, so that neighbours are met."""
    anywhere = st.uuids().map(str)
    nil = st.just(str(uuid.UUID(int=0)))
    neighbours = st.builds(lambda index, one: index + one[3:], st.sampled_from(INDEXES), anywhere)
    return st.one_of(anywhere, neighbours, nil).map(RawId)


def organizations() -> st.SearchStrategy[str]:
    """Lower-case slugs of any script, at most 32 characters."""
    ascii_slugs = st.text("abcz019-_", min_size=1, max_size=32)
    any_script = st.text(st.one_of(_LOWER_LETTERS_AND_DIGITS, st.sampled_from("-_")), min_size=1, max_size=32)
    return st.one_of(ascii_slugs, any_script, st.sampled_from(["a", "a-b", "a_b", "gemeente-éé", "市", "9" * 32, "-"]))


def raw_files() -> st.SearchStrategy[RawFile]:
    return st.builds(RawFile, organizations(), raw_ids())


def hostile_names() -> st.SearchStrategy[str]:
    """What may stand in a listing and must not be taken for a raw id or an organization's name."""
    one = st.uuids().map(str)
    nearly_a_raw_id = st.one_of(
        one.map(lambda text: text + "\n"),
        one.map(lambda text: text.replace("-", "")),
        one.map(lambda text: f"{{{text}}}"),
        one.map(lambda text: f"urn:uuid:{text}"),
        one.map(lambda text: text[:-1]),
        one.map(lambda text: f"{text}0"),
        one.map(lambda text: f" {text}"),
        one.map(lambda text: f".{text}.part"),
        one.map(lambda text: f"../{text}"),
        one.map(lambda text: text.translate({ord("0") + digit: 0x660 + digit for digit in range(10)}) + "٠"),
        one.map(lambda text: f"A{text[1:]}"),
    )
    never = st.sampled_from(
        ["", ".", "..", "/", "a/b", "\x00", "\n", "\x1b[31m", "A", "a b", "é" * 33, "\udcff", "a\u0301", "%2e%2e"]
    )
    return st.one_of(nearly_a_raw_id, never)


def any_text() -> st.SearchStrategy[str]:
    """Any key at all, and more often than chance one that looks familiar."""
    parts = st.one_of(raw_ids(), organizations(), hostile_names(), st.text(max_size=5))
    return st.one_of(st.text(), st.lists(parts, max_size=5).map("/".join))


def entries(max_size: int = 30) -> st.SearchStrategy[list[Entry]]:
    """A scan: unique and ascending by raw id. Small sizes, so that some are equal and some are not."""
    one = st.builds(Entry, raw_ids(), st.integers(0, 3))
    return st.lists(one, max_size=max_size, unique_by=lambda entry: entry.raw_id).map(sorted)


def two_scans() -> st.SearchStrategy[tuple[list[Entry], list[Entry]]]:
    """Two ends that share most of their raw files."""

    def choose(both: list[Entry]) -> st.SearchStrategy[tuple[list[Entry], list[Entry]]]:
        fates = st.lists(st.sampled_from("=*+-"), min_size=len(both), max_size=len(both))
        return fates.map(lambda signs: _two_ends(both, signs))

    return entries().flatmap(choose)


def _two_ends(both: list[Entry], signs: list[str]) -> tuple[list[Entry], list[Entry]]:
    source = [entry for entry, sign in zip(both, signs, strict=True) if sign != "-"]
    target = [
        entry._replace(size=entry.size + (sign == "*")) for entry, sign in zip(both, signs, strict=True) if sign != "+"
    ]
    return source, target


def contents() -> st.SearchStrategy[dict[RawFile, bytes]]:
    """What a store holds: a few organizations that sort differently as folders and as keys, small contents, many of them equal."""
    owners = st.sampled_from(["a", "a-b", "a0", "gemeente-éé"])
    data = st.one_of(st.sampled_from([b"", b"x", b"y"]), st.binary(max_size=20))
    return st.dictionaries(st.builds(RawFile, owners, raw_ids()), data, max_size=12)


_RESERVED = ("xn--", "sthree-", "amzn-s3-demo-"), ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def valid_buckets() -> st.SearchStrategy[str]:
    """By AWS's general purpose bucket naming rules."""
    return st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True).filter(
        lambda name: (
            ".." not in name
            and not name.replace(".", "").isdigit()
            and not name.startswith(_RESERVED[0])
            and not name.endswith(_RESERVED[1])
        )
    )


def invalid_buckets() -> st.SearchStrategy[str]:
    """A valid name with one rule broken."""
    base = valid_buckets().map(lambda name: name[:40])
    return st.one_of(
        st.text("abc", max_size=2),
        st.text("abc", min_size=64, max_size=80),
        base.map(lambda name: f"A{name}"),
        base.map(lambda name: f"{name}-"),
        base.map(lambda name: f"-{name}"),
        base.map(lambda name: f".{name}"),
        base.map(lambda name: f"{name[:1]}..{name[1:]}"),
        st.builds(lambda name, odd: f"a{odd}{name}", base, st.sampled_from("_éÉ /:@\n\x00\u0661市")),
        st.ip_addresses(v=4).map(str),
        st.builds(lambda affix, name: f"{affix}{name}0", st.sampled_from(_RESERVED[0]), base),
        st.builds(lambda name, affix: f"0{name}{affix}", base, st.sampled_from(_RESERVED[1])),
    )
