"""Statements as JSON, signed with Ed25519 (RFC 8032): who has the public key can tell that nothing in them was changed.

Signed is the statement without `signature`: keys sorted, no spaces, ASCII.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from spanstream.runtime.private_file import write_private

ALGORITHM = "Ed25519"
Statement = dict[str, Any]


class Unverified(Exception):
    """Not what the holder of the key has signed; the message says why not."""


class KeyUnreadable(Exception):
    """The file holds no Ed25519 key (PEM) of the kind that is wanted."""


class Signer:
    """Signs with a private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def read(cls, path: Path) -> Signer:
        """From a PEM file (PKCS #8, not encrypted). Raises KeyUnreadable or OSError."""
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError) as error:
            raise KeyUnreadable(f"{path} holds no private key that can be read") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnreadable(f"{path} holds a key that is not {ALGORITHM}")
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> Signer:
        """With a new key, kept in a new file that its owner alone may read: whole or not at all. Raises OSError."""
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        key = Ed25519PrivateKey.generate()
        write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cls(key)

    @property
    def public_key(self) -> bytes:
        """As PEM, for those who verify."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, statement: Mapping[str, Any]) -> Statement:
        """The statement with its signature."""
        value = base64.b64encode(self._key.sign(_signed(statement))).decode()
        return {
            **statement,
            "signature": {"algorithm": ALGORITHM, "key": _name(self._key.public_key()), "value": value},
        }


def verify(statement: Mapping[str, Any], public_key: bytes) -> None:
    """Raises Unverified unless the key's holder has signed exactly this, KeyUnreadable for what is no public key (PEM)."""
    try:
        key = load_pem_public_key(public_key)
    except ValueError as error:
        raise KeyUnreadable("no public key (PEM)") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnreadable(f"not a key of {ALGORITHM}")
    signature = statement.get("signature")
    if not isinstance(signature, Mapping) or signature.get("algorithm") != ALGORITHM:
        raise Unverified("it is not signed")
    if signature.get("key") != _name(key):
        raise Unverified("it was signed with another key")
    try:
        key.verify(base64.b64decode(str(signature.get("value")), validate=True), _signed(statement))
    except (InvalidSignature, binascii.Error) as error:
        raise Unverified("it was changed since it was signed") from error


def _signed(statement: Mapping[str, Any]) -> bytes:
    told = {name: value for name, value in statement.items() if name != "signature"}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _name(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]
