"""Secrets at rest: AES-GCM with the row's name as additional data, and a second key that still decrypts during rotation."""

from __future__ import annotations

import os
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connector.core.errors import ConnectorError

NONCE = 12


class SecretError(ConnectorError):
    """A stored secret was written under a key that is not known here."""


class Cipher:
    """Encrypts with `key`; decrypts with `key` or `old`. Keys are any text; 32 random bytes in hex are best."""

    def __init__(self, key: str, old: str | None = None) -> None:
        self._keys = [AESGCM(sha256(text.encode()).digest()) for text in (key, old) if text]

    def encrypt(self, text: str, name: str) -> bytes:
        """The secret `text` of the row `name`."""
        nonce = os.urandom(NONCE)
        return nonce + self._keys[0].encrypt(nonce, text.encode(), name.encode())

    def decrypt(self, sealed: bytes, name: str) -> str:
        """The text again; SecretError when no key fits."""
        for key in self._keys:
            text = _opened(key, sealed, name)
            if text is not None:
                return text
        raise SecretError(
            f"the stored secret of {name} cannot be read with CONNECTOR_SECRET_KEY",
            "set the key that it was written with, as CONNECTOR_SECRET_KEY or CONNECTOR_SECRET_KEY_OLD",
        )

    def renew(self, sealed: bytes, name: str) -> bytes | None:
        """The same secret under `key`; None where it is already. SecretError when no key fits."""
        if _opened(self._keys[0], sealed, name) is not None:
            return None
        return self.encrypt(self.decrypt(sealed, name), name)


def _opened(key: AESGCM, sealed: bytes, name: str) -> str | None:
    try:
        return key.decrypt(sealed[:NONCE], sealed[NONCE:], name.encode()).decode()
    except (InvalidTag, ValueError):  # the latter of what is too short to be a secret at all
        return None
