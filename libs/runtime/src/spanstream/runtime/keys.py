"""API keys: `sps_<key id>_<secret>`, kept hashed in a file, each bound to one tenant and a set of scopes.

The secret has 256 random bits, so a plain SHA-256 of it is as hard to invert as a slow password hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from spanstream.events.ids import Key as DocumentKey
from spanstream.runtime.identity import SCOPES, Denied, Identity, Reason

PREFIX = "sps_"
_NO_HASH = "0" * 64  # of no secret that anyone could find


def _is_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}", text):
        raise ValueError("a key's id is 1 to 64 letters, digits, '.' and '-', the first a letter or digit")
    return text


def check_tenant(text: str) -> str:
    """The text if it names a tenant; raises ValueError."""
    DocumentKey.checked(text, "any", "any")
    return text


def check_source(text: str) -> str:
    """The text if it names a source; raises ValueError."""
    DocumentKey.checked("any", text, "any")
    return text


def _is_scope(text: str) -> str:
    if text not in SCOPES:
        raise ValueError(f"a scope is one of {', '.join(sorted(SCOPES))}")
    return text


IN_ORDER = PlainSerializer(sorted)
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Closed(BaseModel):
    """A misspelt field is an error: one that is not seen could only widen a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Previous(_Closed):
    """The secret before the last rotation, and until when it is accepted too."""

    sha256: Hash
    expires: AwareDatetime


class Key(_Closed):
    """An entry of the file. `groups`, `sources` None: all of the tenant's."""

    id: Annotated[str, AfterValidator(_is_id)]
    tenant: Annotated[str, AfterValidator(check_tenant)]
    scopes: Annotated[frozenset[Annotated[str, AfterValidator(_is_scope)]], IN_ORDER]
    sha256: Hash
    groups: Annotated[frozenset[str], IN_ORDER] | None = None
    sources: Annotated[frozenset[Annotated[str, AfterValidator(check_source)]], IN_ORDER] | None = None
    expires: AwareDatetime | None = None
    previous: Previous | None = None
    revoked: AwareDatetime | None = None

    def state(self, now: datetime) -> str:
        """active, expired or revoked."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"


class KeyFile(_Closed):
    """All of it."""

    keys: tuple[Key, ...]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same id")
        return self


_NOBODY = Key(id="nobody", tenant="nobody", scopes=frozenset(), sha256=_NO_HASH)


class Keys:
    """The keys of a file."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = {key.id: key for key in keys}
        self._identities = {key.id: _identity(key) for key in keys}

    @classmethod
    def parse(cls, data: bytes) -> Keys:
        """From a file's content; raises ValueError."""
        return cls(KeyFile.model_validate_json(data).keys)

    def verify(self, token: str, now: datetime) -> Identity:
        """Whose key it is; raises Denied. An unknown id takes the time of a known one."""
        id, _, secret = token.removeprefix(PREFIX).rpartition("_")
        key = self._keys.get(id, _NOBODY)
        stranger = f"key:#{hash_of(id)[:8]}"  # all that is told of an unknown id: it may be a secret in the wrong place
        digest = hash_of(secret)
        current = hmac.compare_digest(digest, key.sha256)
        before = hmac.compare_digest(digest, key.previous.sha256 if key.previous else _NO_HASH)
        state = key.state(now)
        if key is _NOBODY:
            raise Denied(Reason.UNKNOWN_KEY, stranger)
        if not (current or before):
            raise Denied(Reason.WRONG_SECRET, f"key:{id}")
        if state != "active":
            raise Denied(Reason(state), f"key:{id}")
        if not current and key.previous and key.previous.expires <= now:
            raise Denied(Reason.EXPIRED, f"key:{id}")
        return self._identities[id]


def hash_of(secret: str) -> str:
    """What the file holds of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _identity(key: Key) -> Identity:
    groups = None if key.groups is None else tuple(sorted(key.groups))
    sources = None if key.sources is None else tuple(sorted(key.sources))
    return Identity(key.tenant, key.scopes, f"key:{key.id}", groups, sources)
