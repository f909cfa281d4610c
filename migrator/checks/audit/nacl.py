"""Opens the NaCl boxes that Bytes keeps instead of plain contents; the only importer of PyNaCl (extra ``nacl``).

Source: ``bytes/raw/middleware.py:NaclBoxMiddleware`` of Bytes 1.18 to 1.20. In spite of its setting's name, ``NACL_SEALBOX``, it is no
SealedBox: a file is a nonce of 24 bytes, then the ciphertext of ``nacl.public.Box`` with an authenticator of 16 bytes.
"""

from __future__ import annotations

import base64
import binascii
import sys
from typing import TYPE_CHECKING

from migrator.core.errors import CannotStart, MigratorError, SettingsError

if TYPE_CHECKING:
    from nacl.public import Box

KEY_LENGTH = 32
NONCE_LENGTH = 24
AUTHENTICATOR_LENGTH = 16


class Undecodable(Exception):
    """The box cannot be opened: it is damaged, or was made with other keys."""


class BoxOpener:
    """Opens boxes with one pair of keys. From any thread."""

    def __init__(self, private_key_b64: str, public_key_b64: str) -> None:
        """Raises SettingsError for what is no key, CannotStart without PyNaCl. No error holds anything of a key."""
        private, public = (
            _key("BYTES_PRIVATE_KEY_B64", private_key_b64),
            _key("BYTES_PUBLIC_KEY_B64", public_key_b64),
        )
        self._box, self._refused = _box(private, public)

    def open(self, content: bytes) -> bytes:
        """Return the plain content of a NaCl box: nonce and ciphertext, as `NACL_SEALBOX` of Bytes stores it.

        Raises:
            Undecodable: If it is too short, or these keys do not open it.
        """
        if len(content) < NONCE_LENGTH + AUTHENTICATOR_LENGTH:
            raise Undecodable("it is too short for a NaCl box")
        try:
            return self._box.decrypt(content[NONCE_LENGTH:], content[:NONCE_LENGTH])
        except self._refused:
            raise Undecodable("its NaCl box does not open") from None


def _box(private: bytes, public: bytes) -> tuple[Box, type[Exception]]:
    """Return the box of these keys, and the error by which PyNaCl refuses.

    Raises:
        CannotStart: If PyNaCl is missing.
        SettingsError: If the keys make no box.
    """  # noqa: DOC501 made by _nacl_missing
    try:
        from nacl.exceptions import CryptoError  # noqa: PLC0415 an extra
        from nacl.public import Box, PrivateKey, PublicKey  # noqa: PLC0415
    except ImportError as error:
        raise _nacl_missing() from error
    try:
        return Box(PrivateKey(private), PublicKey(public)), CryptoError
    except CryptoError as error:
        raise SettingsError(
            "nacl-keys-invalid",
            "The NaCl keys do not make a box.",
            cure="Check BYTES_PRIVATE_KEY_B64 and BYTES_PUBLIC_KEY_B64.",
        ) from error


def _nacl_missing() -> MigratorError:
    return CannotStart(
        "nacl-missing",
        "Opening NaCl boxes needs PyNaCl, which is not installed.",
        why="BYTES_ENCRYPTION_MIDDLEWARE is NACL_SEALBOX: the recorded digests are of decoded contents.",
        cure=f"Install it: {sys.executable} -m pip install 'bytes-migrator[nacl]'",
    )


def _key(name: str, text: str) -> bytes:
    """Return a key as Bytes reads it: ``base64.b64decode``, which skips what is not of the alphabet.

    Raises:
        SettingsError: If it is not of a NaCl key's length.
    """
    try:
        key = base64.b64decode(text)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_LENGTH:
        raise SettingsError(
            "nacl-keys-invalid",
            f"{name} is no NaCl key: base64 of {KEY_LENGTH} bytes.",
            why="Bytes itself would not start with it.",
            cure="Take over the value from Bytes' settings, whole.",
        )
    return key
