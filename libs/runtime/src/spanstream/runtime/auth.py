"""Who calls: API keys, kept hashed in a file, each bound to one tenant and a set of scopes.

A token is `sps_<key id>_<secret>`; the secret has 256 random bits, so a plain SHA-256 of it is as hard to invert as a
slow password hash. The tenant of a request comes from its token alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request, Security
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from spanstream.runtime.logs import get_logger
from spanstream.runtime.problems import Problem
from spanstream.runtime.settings import SettingsError

log = get_logger()

SCOPES = frozenset({"read", "write"})
DEFAULT_TENANT = "default"

# For the published description alone, also of routes that hand the header on: what verifies is the Authenticator.
BEARER = Security(HTTPBearer(scheme_name="key", description="An API key, `sps_…`.", auto_error=False))


@dataclass(frozen=True, slots=True)
class Identity:
    """The verified caller. `groups` None: every group of the tenant."""

    tenant: str
    scopes: frozenset[str]
    key_id: str
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Key:
    sha256: str
    identity: Identity


class Authenticator:
    """Verifies tokens against a set of keys; without keys everyone is tenant 'default' (allowed on loopback only)."""

    def __init__(self, keys: Mapping[str, _Key] | None) -> None:
        self._keys = keys

    @classmethod
    def from_file(cls, path: str | None) -> Authenticator:
        """Read the keys; raises SettingsError on an unreadable file, so that nothing starts open by mistake."""
        if path is None:
            log.warning("no_keys", detail="AUTH_KEYS_FILE is not set: whoever reaches this port is tenant 'default'")
            return cls(None)
        try:
            return cls({entry["id"]: _key(entry) for entry in json.loads(Path(path).read_text())["keys"]})
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise SettingsError(f"AUTH_KEYS_FILE: {path} cannot be read as keys ({type(error).__name__})") from error

    def verify(self, authorization: str | None) -> Identity:
        """The identity behind an Authorization header; raises Problem 401."""
        if self._keys is None:
            return Identity(DEFAULT_TENANT, SCOPES, "anonymous")
        scheme, token = get_authorization_scheme_param(authorization)
        prefix, _, rest = token.partition("_")
        key_id, _, secret = rest.rpartition("_")
        key = self._keys.get(key_id)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        known = hmac.compare_digest(digest, key.sha256 if key else "0" * 64)
        if scheme.lower() != "bearer" or prefix != "sps" or key is None or not known:
            raise Problem(401, "send a valid API key as 'Authorization: Bearer <key>'")
        return key.identity

    def requires(self, scope: str) -> Callable[..., Awaitable[Identity]]:
        """A FastAPI dependency: the caller's identity, if it may `scope`."""

        # One hash, microseconds: a thread of the framework's pool would cost more, and may be waited for.
        async def dependency(request: Request, _described: object = BEARER) -> Identity:
            identity = self.verify(request.headers.get("authorization"))
            if scope not in identity.scopes:
                raise Problem(403, f"this key has no '{scope}' scope")
            return identity

        return dependency


def _key(entry: Mapping[str, Any]) -> _Key:
    groups = tuple(sorted(set(entry["groups"]))) if entry.get("groups") is not None else None
    return _Key(entry["sha256"], Identity(entry["tenant"], SCOPES & set(entry["scopes"]), entry["id"], groups))


def create_key(
    path: Path, key_id: str, tenant: str, scopes: frozenset[str] = SCOPES, groups: Sequence[str] | None = None
) -> str:
    """Add a key to the file (made with mode 0600 if missing), replacing one of the same id; returns the token.

    `groups` None: it sees every group of the tenant.
    """
    if "_" in key_id:
        raise ValueError("a key id must not contain '_'")
    secret = secrets.token_urlsafe(32).replace("_", "-")
    entries = json.loads(path.read_text())["keys"] if path.exists() else []
    entries = [entry for entry in entries if entry["id"] != key_id]
    digest = hashlib.sha256(secret.encode()).hexdigest()
    entry: dict[str, Any] = {"id": key_id, "tenant": tenant, "scopes": sorted(scopes), "sha256": digest}
    entries.append(entry | ({} if groups is None else {"groups": sorted(set(groups))}))
    temporary = path.with_suffix(".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"keys": entries}, file, indent=2)
    temporary.replace(path)
    return f"sps_{key_id}_{secret}"
