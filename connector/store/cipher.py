"""Secrets at rest: AES-GCM with the row's name as additional data, and a second key that still decrypts during rotation."""

from __future__ import annotations

import os
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connector.core.errors import ConnectorError

NONCE = 12


class Cipher:
    """Encrypts with `key`; decrypts with `key` or `old`. Keys are any text; 32 random bytes in hex are best."""

    def __init__(self, key: str, old: str | None = None) -> None:
        self._keys = [AESGCM(sha256(text.encode()).digest()) for text in (key, old) if text]

    def encrypt(self, text: str, name: str) -> bytes:
        """The secret `text` of the row `name`."""
        nonce = os.urandom(NONCE)
        return nonce + self._keys[0].encrypt(nonce, text.encode(), name.encode())

    def decrypt(self, sealed: bytes, name: str) -> str:
        """The text again; ConnectorError when no key fits."""
        for key in self._keys:
            try:
                return key.decrypt(sealed[:NONCE], sealed[NONCE:], name.encode()).decode()
            except InvalidTag:
                continue
        raise ConnectorError(
            f"the stored secret of {name} cannot be read with CONNECTOR_SECRET_KEY",
            "set the key that it was written with, as CONNECTOR_SECRET_KEY or CONNECTOR_SECRET_KEY_OLD",
        )
