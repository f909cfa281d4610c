"""Files made of something else, which are read from a position of their own: part of a descriptor, or of memory."""

from __future__ import annotations

import io
import os


class PositionedFile(io.RawIOBase):
    """Keeps the position in bytes, from 0 or from `offset`; who derives from it reads there, and moves it on."""

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position from the beginning or from where it is; return it."""
        self._offset = offset + (self._offset if whence == os.SEEK_CUR else 0)
        return self._offset
