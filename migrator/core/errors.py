"""Every error that this program raises on purpose.

::

    MigratorError                  what, why, cure; `name` (kebab-case) and an exit status
    ├── SettingsError        (2)   options or settings that are invalid
    ├── CannotStart          (3)   nothing was moved: a place, a right or a server is missing
    ├── MustStop             (3)   the run ended early; its ledger says where to go on
    │   └── OutOfPatience          nothing has succeeded for too long; later it may
    ├── BucketClosed               one organization's bucket refuses; the others go on
    ├── LedgerBusy           (4)   another run holds the ledger of these two locations
    └── StoreError           (3)   a store did not do what was asked; becomes an outcome, or one of the above
        ├── Vanished               the raw file was there when it was listed, and is not any more
        ├── Unreadable             the raw file or folder exists and may not be read
        ├── SourceChanged          the raw file changed while it was read
        ├── NotTheSame             bytes that arrived are not the bytes that were sent
        ├── AlreadyThere           the name at the target is taken
        ├── AccessDenied           the credentials do not allow this call
        ├── Archived               the object has to be restored from an archive first
        ├── BucketMissing          the bucket does not exist
        ├── StoreFull              no space, no inodes, no quota
        │   └── BucketFull         one bucket's quota is used up; others may have room
        ├── TargetBroken           the target's medium cannot be written: read-only, or it fails
        ├── Interrupted            the run was asked to stop; the raw file is pending
        └── Unavailable            server or network failed; trying again may help

Rules: whoever raises says what happened, why, and what to do now, in words for an operator. A failed raw file is an outcome;
only what ends the run is raised through the pipeline. `temporary` belongs to the error: the retry loop asks, it does not guess.
"""

from __future__ import annotations

from typing import ClassVar


class MigratorError(Exception):
    """Something that an operator has to know: what happened, why, and what to do now.

    `name` is a stable kebab-case word for documentation and ``--json``.
    """

    exit_status: ClassVar[int] = 3
    temporary: ClassVar[bool] = False

    def __init__(self, name: str, what: str, *, why: str = "", cure: str = "") -> None:
        super().__init__(name, what, why, cure)
        self.name = name
        self.what = what
        self.why = why
        self.cure = cure

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.name, self.what, self.why, self.cure))

    def as_dict(self) -> dict[str, str]:
        """Return its name and texts as they stand in JSON reports and logs."""
        return {"name": self.name, "what": self.what, "why": self.why, "cure": self.cure}

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.cure) if part)


def _rebuild(kind: type[MigratorError], name: str, what: str, why: str, cure: str) -> MigratorError:
    """Errors cross from worker processes; keyword-only arguments need a hand."""
    return kind(name, what, why=why, cure=cure)


def may_come_back(error: BaseException) -> bool:
    """Return whether the server, or the way to it, was what failed: the error or one of its causes is temporary."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MigratorError) and cause.temporary:
            return True
        cause = cause.__cause__
    return False


class SettingsError(MigratorError):
    """Options or settings that are invalid; nothing was opened."""

    exit_status = 2


class CannotStart(MigratorError):
    """Nothing was moved, because a place, a right or a server that is needed is missing."""


class MustStop(MigratorError):
    """Nothing can succeed any more; what was done is in the ledger."""


class OutOfPatience(MustStop):
    """Nothing has succeeded for as long as patience lasts. The server may come back."""

    temporary = True


class BucketClosed(MigratorError):
    """The bucket of one organization refuses what is needed, again and again. Its raw files fail by that name; other buckets go on."""


class LedgerBusy(MigratorError):
    """Another run holds the ledger of these two locations."""

    exit_status = 4


class StoreError(MigratorError):
    """A store did not do what was asked. `request_id` is what the server's own log knows the request by, where it said so.

    `bucket` is the bucket that was asked for; "" for a disk and for calls on a whole server.
    """

    request_id: str = ""
    bucket: str = ""
    is_spent: bool = False
    """What failed was tried as often as `transfer/retry.py` allows: whoever repeats more than this one request does not."""


class Vanished(StoreError):
    """The raw file was there when it was listed, and is not any more."""


class Unreadable(StoreError):
    """The raw file or folder exists, and may not or cannot be read."""


class SourceChanged(StoreError):
    """The raw file changed while it was read, so what was read may be torn."""

    temporary = True


class NotTheSame(StoreError):
    """Bytes that arrived are not the bytes that were sent."""

    temporary = True


class AlreadyThere(StoreError):
    """The name at the target is taken; nothing was written."""


class AccessDenied(StoreError):
    """The credentials, or the user's rights, do not allow this."""


class Archived(StoreError):
    """The object is in an archive class: it cannot be read before it was restored. Nothing is wrong with rights or with other objects."""


class BucketMissing(StoreError):
    """The bucket does not exist."""


class StoreFull(StoreError):
    """No space, no inodes or no quota is left."""


class BucketFull(StoreFull):
    """The quota of one bucket, or of its owner, is used up; other buckets may have room."""


class TargetBroken(StoreError):
    """The target's medium cannot be written: it is read-only by now, or it fails."""


class Interrupted(StoreError):
    """The run was asked to stop while this raw file was under way; what was begun is kept for the next run."""


class Unavailable(StoreError):
    """The server or the network failed; trying again may help."""

    temporary = True
