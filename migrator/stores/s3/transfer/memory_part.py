"""Parts that a store gives no file for, read into memory and sent as if they were files."""

from __future__ import annotations

from typing import BinaryIO, cast

from migrator.core.errors import SourceChanged
from migrator.core.protocols import Content
from migrator.stores.positioned_file import PositionedFile
from migrator.stores.s3.transfer.part_window import PartBuffers

_CHUNK = 1 << 20


class _MemoryPart(PositionedFile):
    """A part in a buffer, which is given back when this is closed."""

    def __init__(self, data: memoryview, buffers: PartBuffers) -> None:
        super().__init__()
        self._data = data
        self._buffers = buffers

    def read(self, size: int = -1) -> bytes:
        end = self._offset + size if size >= 0 else len(self._data)
        piece = bytes(self._data[self._offset : end])
        self._offset += len(piece)
        return piece

    def close(self) -> None:
        if not self.closed:
            self._buffers.give_back(self._data)
        super().close()


def read_to_memory(content: Content, size: int, buffers: PartBuffers) -> BinaryIO:
    """Read the next `size` bytes into a buffer; return them as a file.

    Raises:
        SourceChanged: If the content ends early.
    """
    data, filled = buffers.take(size), 0
    while filled < size:
        lent = content.borrow(min(size - filled, _CHUNK))
        if not lent:
            raise SourceChanged("source-changed", f"{content.entry.raw_id} ended early while it was read.")
        data[filled : filled + len(lent)] = lent
        filled += len(lent)
    return cast("BinaryIO", _MemoryPart(data, buffers))
