"""The names of findings: what `--force` takes. A name does not change with the wording."""

from __future__ import annotations

BUCKET_NAMES = "bucket-names"
BYTES_CALLS = "bytes-calls"
BYTES_ANSWERS = "bytes-answers"
BYTES_RAWS = "bytes-raws"
BYTES_VERSION = "bytes-version"
SERVER_REACHABLE = "server-reachable"
CLOCK = "clock-skew"
LATENCY = "latency"
ADDRESSING = "addressing"
ABILITIES = "server-abilities"
LISTING = "listing-order"
MULTIPART = "multipart-minimum"
VERSIONING = "versioning"
OBJECT_LOCK = "object-lock"
ENCRYPTION = "default-encryption"
RIGHTS_SOURCE = "rights-source"
RIGHTS_TARGET = "rights-target"
FOREIGN_OBJECTS = "foreign-objects"
SOURCE = "source"
ORGANIZATION_NAMES = "organization-names"
STRAYS = "strays"
UNREADABLE_FOLDERS = "unreadable-folders"
EMPTY_FILES = "empty-files"
SOURCE_IN_USE = "source-in-use"
TARGET_FOLDER = "target-folder"
READ_ONLY = "read-only"
DISK_SPACE = "disk-space"
DISK_INODES = "disk-inodes"
SERVICE_USER = "service-user"
FOLDERS_ABOVE = "folders-above"
CLOSED = "closed-to-bytes"
ACCESS_LISTS = "access-lists"
UMASK = "umask"
FILE_SYSTEM = "file-system"
NAME_LENGTH = "name-length"
UNFINISHED_RUN = "unfinished-run"
OTHER_LEDGERS = "other-ledgers"
SETTING_NAMES = "setting-names"
PROFILE_ONLY = "profile-only"
SECRETS_READABLE = "secrets-readable"
BYTES_MAY_READ = "bytes-may-read-the-source"
READ_THROUGH = "read-through"
ENV_FILE_FORM = "env-file-form"

_OF_SETTINGS = (
    "bucket-per-org-default",
    "default-bucket-name",
    "aws-region-ignored",
    "aws-setting-not-applied",
    "debian-settings",
    SETTING_NAMES,
    PROFILE_ONLY,
    SECRETS_READABLE,
    ENV_FILE_FORM,
)
_OF_SERVERS = (
    BYTES_CALLS,
    BYTES_ANSWERS,
    BYTES_RAWS,
    BYTES_VERSION,
    SERVER_REACHABLE,
    CLOCK,
    LATENCY,
    ADDRESSING,
    ABILITIES,
    LISTING,
    MULTIPART,
    VERSIONING,
    OBJECT_LOCK,
    ENCRYPTION,
    RIGHTS_SOURCE,
    RIGHTS_TARGET,
    FOREIGN_OBJECTS,
    READ_THROUGH,
    "libcurl-missing",
)
_OF_DISKS = (
    SOURCE,
    ORGANIZATION_NAMES,
    STRAYS,
    UNREADABLE_FOLDERS,
    EMPTY_FILES,
    SOURCE_IN_USE,
    TARGET_FOLDER,
    READ_ONLY,
    DISK_SPACE,
    DISK_INODES,
    SERVICE_USER,
    FOLDERS_ABOVE,
    CLOSED,
    ACCESS_LISTS,
    UMASK,
    FILE_SYSTEM,
    NAME_LENGTH,
)

KEEP_BYTES_OUT = (BUCKET_NAMES, BYTES_CALLS, BYTES_ANSWERS, SERVICE_USER, CLOSED, FOLDERS_ABOVE)
"""Because of these, Bytes cannot read or save at the target, whatever was copied."""

FINDINGS = (BUCKET_NAMES, *_OF_SETTINGS, *_OF_SERVERS, *_OF_DISKS, UNFINISHED_RUN, OTHER_LEDGERS, BYTES_MAY_READ)
