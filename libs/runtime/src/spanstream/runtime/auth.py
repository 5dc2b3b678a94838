"""Who may call: an Authorization header to an identity, by API key (`keys.py`) or by an identity provider's token (`tokens.py`).

The tenant of a request comes from its credential alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request, Security
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.types import Scope

from spanstream.runtime.audit import AuditLog
from spanstream.runtime.identity import EVERYONE, Denied, Reason, refusal
from spanstream.runtime.identity import Identity as Identity
from spanstream.runtime.keys import PREFIX, Keys
from spanstream.runtime.limits import Limits, Rates
from spanstream.runtime.logs import get_logger
from spanstream.runtime.metrics import AUTH_REFUSED, from_zero
from spanstream.runtime.problems import Problem
from spanstream.runtime.settings import HttpSettings
from spanstream.runtime.tokens import Claims, Tokens, parse_jwks
from spanstream.runtime.watched import Watched

log = get_logger()

BEARER = Security(HTTPBearer(scheme_name="key", description="An API key, `sps_…`, or a JWT.", auto_error=False))
_IDENTITY = "spanstream.identity"  # in the scope of a request: what its credential was found to say


class Refused(Problem):
    """401 or 403. Every 401 reads the same; `reason`, `subject` (who it is, or says it is) and `tenant` are for the audit log."""

    def __init__(self, status: int, detail: str, reason: Reason, subject: str, tenant: str | None = None) -> None:
        super().__init__(status, detail)
        self.reason = reason
        self.subject = subject
        self.tenant = tenant


class Authenticator:
    """Verifies credentials; without keys and tokens everyone is tenant 'default' (allowed on loopback only)."""

    def __init__(
        self,
        keys: Callable[[], Keys] | None = None,
        tokens: Tokens | None = None,
        *,
        files: Sequence[Watched[Any]] = (),
        audit: AuditLog | None = None,
        limits: Limits | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`files`: what the credentials are read from. `audit` none: nothing is told. `limits` none: there are none."""
        self._files = files
        self._keys = keys
        self._tokens = tokens
        self._now = now
        self.audit = audit
        self.limits = limits or Limits(Rates())
        from_zero(AUTH_REFUSED, Reason)
        if keys is None and tokens is None:
            log.warning("no_keys", detail="AUTH_KEYS_FILE is not set: whoever reaches this port is tenant 'default'")

    @classmethod
    def from_file(cls, path: str | None) -> Authenticator:
        """By the keys of a file alone; without one that can be read nobody gets in."""
        keys = _keys_of(path)
        return cls() if keys is None else cls(keys.get, files=[keys])

    @classmethod
    def from_settings(cls, settings: HttpSettings) -> Authenticator:
        """As the settings say; raises SettingsError."""
        tokens = jwks = None
        if settings.auth_jwks_file is not None:
            claims = Claims(
                issuer=settings.auth_jwt_issuer or "",  # the settings do not let either be missing
                audience=settings.auth_jwt_audience or "",
                algorithms=settings.jwt_algorithms,
                leeway_seconds=settings.auth_jwt_leeway_seconds,
                tenant=settings.auth_jwt_tenant_claim,
                scopes=settings.auth_jwt_scopes_claim,
                groups=settings.auth_jwt_groups_claim,
                sources=settings.auth_jwt_sources_claim,
            )
            path = Path(settings.auth_jwks_file)
            jwks = Watched(path, lambda data: parse_jwks(data, claims.algorithms), "AUTH_JWKS_FILE")
            tokens = Tokens(jwks.get, claims)
        rates = Rates(
            requests_per_second=settings.tenant_requests_per_second,
            bytes_per_second=settings.tenant_bytes_per_second,
            requests_at_once=settings.tenant_requests_at_once,
            burst_seconds=settings.tenant_burst_seconds,
        )
        keys = _keys_of(settings.auth_keys_file)
        return cls(
            keys.get if keys is not None else None,
            tokens,
            files=[file for file in (keys, jwks) if file is not None],
            audit=AuditLog(Path(settings.auth_audit_file) if settings.auth_audit_file else None),
            limits=Limits(rates),
        )

    def unready(self) -> list[str]:
        """Which file of credentials could never be read."""
        return [reason for file in self._files for reason in file.unready()]

    def verify(self, authorization: str | None) -> Identity:
        """The identity behind an Authorization header; raises Refused (401), or Problem 503 while no file could be read."""
        if self._keys is None and self._tokens is None:
            return EVERYONE
        try:
            return self._verified(authorization)
        except Denied as denied:
            told = "send a valid API key or token as 'Authorization: Bearer <key>'"
            raise Refused(401, told, denied.reason, denied.claimed) from denied

    def _verified(self, authorization: str | None) -> Identity:
        if not authorization:
            raise Denied(Reason.NO_CREDENTIAL)
        scheme, token = get_authorization_scheme_param(authorization)
        if scheme.lower() != "bearer":
            raise Denied(Reason.WRONG_SCHEME)
        if token.startswith(PREFIX) and self._keys is not None:
            return self._keys().verify(token, self._now())
        if self._tokens is not None:
            return self._tokens.verify(token)
        raise Denied(Reason.MALFORMED_TOKEN)

    def requires(self, scope: str, *, narrows: bool = False) -> Required:
        """A FastAPI dependency: the caller's identity, if it may `scope`.

        `narrows`: the route keeps to the caller's `sources` itself; else one whose path names no source refuses callers
        that are bound to some.
        """
        return Required(self, scope, narrows)


def _keys_of(path: str | None) -> Watched[Keys] | None:
    return None if path is None else Watched(Path(path), Keys.parse, "AUTH_KEYS_FILE")


class Required:
    """What a route asks of its callers."""

    def __init__(self, authenticator: Authenticator, scope: str, narrows: bool) -> None:
        self.authenticator = authenticator
        self.scope = scope
        self.narrows = narrows

    # Microseconds: a thread of the framework's pool would cost more, and may be waited for.
    async def __call__(self, request: Request, _described: object = BEARER) -> Identity:
        """The caller; raises Refused."""
        return self.check(request.scope)

    def check(self, request: Scope) -> Identity:
        """The caller of this request, verified once; raises Refused (401 or 403)."""
        identity: Identity | None = request.get(_IDENTITY)
        if identity is None:
            given = Headers(scope=request).getlist("authorization")
            identity = self.authenticator.verify(", ".join(given))  # two are none
            request[_IDENTITY] = identity
        reason = refusal(identity, self.scope, request["path_params"], narrows=self.narrows)
        if reason is None:
            return identity
        told = (
            f"this key has no '{self.scope}' scope" if reason is Reason.SCOPE else "this key is bound to other sources"
        )
        raise Refused(403, told, reason, identity.subject, identity.tenant)
