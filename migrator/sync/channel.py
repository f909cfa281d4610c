"""A worker's line to the coordinator: events one way, and for uploads an acknowledgement back."""

from __future__ import annotations

import mmap
import struct
import threading
import time
from collections.abc import Callable

from migrator.core.cancellation import Flag
from migrator.core.entities import RawFile, UnfinishedUpload
from migrator.core.errors import Interrupted
from migrator.sync.messages import Event, Learned, UploadBegan, UploadEnded

_NUMBER = struct.Struct("<Q")
_LOOKED_EVERY = 0.002


class Acknowledgements:
    """The number of the last durable event of each worker, in memory that forked processes share."""

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, _NUMBER.size * max(1, workers))

    def acknowledge(self, event: UploadBegan) -> None:
        """Acknowledge an upload's beginning, and all that the same worker told before it."""
        self.acknowledge_number(event.worker, event.number)

    def acknowledge_number(self, worker: int, number: int) -> None:
        """Acknowledge all beginnings of a worker up to this number."""
        _NUMBER.pack_into(self._memory, worker * _NUMBER.size, number)

    def last(self, worker: int) -> int:
        """Return the number of the last beginning of this worker that is in the ledger."""
        number: int = _NUMBER.unpack_from(self._memory, worker * _NUMBER.size)[0]
        return number


class Line:
    """One worker's end. Also the journal of its uploads: what the ledger knew of them comes with the assignments."""

    def __init__(
        self, put: Callable[[Event], None], worker: int, acknowledged: Acknowledgements, stopping: Flag
    ) -> None:
        self.send = put
        self._worker = worker
        self._acknowledged = acknowledged
        self._stopping = stopping
        self._lock = threading.Lock()
        self._number = 0
        self._uploads: dict[RawFile, UnfinishedUpload] = {}

    def learn(self, uploads: tuple[UnfinishedUpload, ...]) -> None:
        """Take what the ledger knows of unfinished uploads."""
        for upload in uploads:
            self._uploads[RawFile(upload.organization, upload.raw_id)] = upload

    def unfinished(self, raw_file: RawFile) -> UnfinishedUpload | None:
        """Return the upload of this raw file that is in the ledger or was begun here, None if there is none."""
        return self._uploads.get(raw_file)

    def began(self, upload: UnfinishedUpload) -> None:
        """Tell the coordinator of an upload, and wait until it is in the ledger.

        Raises:
            Interrupted: If the run is asked to stop before that.
        """
        with self._lock:  # numbers must reach the coordinator in order: one acknowledgement stands for all before it
            self._number += 1
            number = self._number
            self.send(UploadBegan(upload, self._worker, number))
        self._uploads[RawFile(upload.organization, upload.raw_id)] = upload
        while self._acknowledged.last(self._worker) < number:
            if self._stopping.is_set():
                raise Interrupted("interrupted", "The run was asked to stop.")
            time.sleep(_LOOKED_EVERY)

    def ended(self, upload: UnfinishedUpload) -> None:
        """Tell the coordinator that the upload is over; nobody waits for that."""
        self._uploads.pop(RawFile(upload.organization, upload.raw_id), None)
        self.send(UploadEnded(upload))

    def learned(self, name: str, value: int) -> None:
        """Tell the coordinator of a field of the server's abilities that turned out otherwise."""
        self.send(Learned(name, value))
