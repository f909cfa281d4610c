"""The words of ``--from`` and ``--to``: disk and s3, templates of buckets, and folders. Pure but for a look whether a path is there."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from pathlib import Path

from migrator.config.env_file import ENV_FILE_SUFFIXES
from migrator.core.errors import SettingsError
from migrator.core.naming import BucketPerOrganization, Naming, SingleBucket
from migrator.core.redaction import has_login

OTHER_WORD = {"disk": "s3", "s3": "disk"}
_SINGLE_TEMPLATE = re.compile(r"s3://([^/{}]+)/\{organization\}")
_EACH_TEMPLATE = re.compile(r"s3://([^/{}]+)\{organization\}")


def both_words(from_: str | None, to: str | None) -> tuple[str, str]:
    """Return both words; of disk and s3, one implies the other.

    Raises:
        SettingsError: If one is missing that nothing implies.
    """
    if from_ is not None and to is not None:
        return from_, to
    if from_ is None and to is None:
        raise SettingsError(
            "locations-missing",
            "Neither --from nor --to is given.",
            why="A migration needs two locations.",
            cure="Add --to s3 to go from disk to S3, --to disk to go back.",
        )
    given, missing = (to or "", "--from") if from_ is None else (from_, "--to")
    other = OTHER_WORD.get(given)
    if other is None:
        raise SettingsError(
            "locations-missing",
            f"{missing} is not given.",
            why="Only disk and s3 imply the other end.",
            cure=f"Add {missing} with disk, s3, an env file, a path, or s3://bucket/{{organization}}.",
        )
    return (other, given) if missing == "--from" else (given, other)


def resembles_url(word: str) -> bool:
    """Whether a word is meant as a template or URL, well written or not: never a folder's path."""
    return word.lower().startswith(("s3:", "s3//")) or "://" in word or "{organization}" in word


def naming_of(word: str) -> Naming:
    """Return what a template such as ``s3://bucket/{organization}`` names.

    Raises:
        SettingsError: If it is none, or holds a login.
    """
    if has_login(word) or "?" in word:
        raise SettingsError(
            "location-with-login",
            "A location holds a login or a signature, which is not shown here.",
            why="Locations show in reports, logs and the process list.",
            cure=(
                "Write s3://bucket/{organization}, and put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into an "
                "env file. Replace the typed key: the shell keeps it."
            ),
        )
    if match := _SINGLE_TEMPLATE.fullmatch(word):
        return SingleBucket(match.group(1))
    if match := _EACH_TEMPLATE.fullmatch(word):
        return BucketPerOrganization(match.group(1))
    if word.lower().startswith(("http://", "https://")):
        raise SettingsError(
            "location-is-url",
            f"{word} is the address of a server, not a location.",
            why="A location names buckets; the address is a setting.",
            cure="Give the address with --endpoint-url (AWS_ENDPOINT_URL), and s3 or s3://bucket/{organization} "
            "as location.",
        )
    raise SettingsError(
        "location-template",
        f"{word} does not say where an organization's raw files are.",
        why="Without {organization}, one bucket for all and one for each look alike.",
        cure="Write 's3://bucket/{organization}' for one bucket, 's3://prefix-{organization}' for one each.",
    )


def near_word(word: str) -> str:
    """Return '; did you mean s3?' for a word that is nearly one of the two, else a full stop."""
    near = difflib.get_close_matches(word.lower(), ("disk", "s3"), n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else "."


def folder_of(word: str) -> Path:
    """Return the folder that a path names.

    Raises:
        SettingsError: If it has no slash, or is an env file that is not there.
    """
    if "/" not in word and not word.endswith(ENV_FILE_SUFFIXES):
        is_folder = os.path.isdir(word)
        here = shlex.quote(f"./{word}")
        raise SettingsError(
            "location-unknown",
            f"Unknown location {word!r}{'.' if is_folder else near_word(word)}",
            why="A folder has that name, but a path needs a slash."
            if is_folder
            else "It is neither disk nor s3, and there is no file of that name. A path has a slash in it.",
            cure=f"Type {here}."
            if is_folder
            else f"Type disk, s3, the path of an env file, or {here} for a folder here.",
        )
    if word.endswith(ENV_FILE_SUFFIXES) and not os.path.isdir(word):
        raise SettingsError(
            "env-file-missing",
            f"There is no env file {word}.",
            why="Nothing that this user can see has that name.",
            cure=f"Check the path; relative paths start at {os.getcwd()}.",
        )
    return Path(os.path.abspath(os.path.expanduser(word)))
