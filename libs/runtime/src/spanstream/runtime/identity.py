"""Who calls: what a verified credential says of its holder, and why one is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

# read: search and status; write: documents and standing queries; admin: what an operator does to what is there. None
# includes another.
SCOPES = frozenset({"read", "write", "admin"})
DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Identity:
    """The verified caller. `groups`, `sources` None: every group, every source of the tenant.

    `subject` names the credential: `key:ID`, or `token:` and whom the token was issued to.
    """

    tenant: str
    scopes: frozenset[str]
    subject: str
    groups: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None


EVERYONE = Identity(DEFAULT_TENANT, SCOPES, "anyone")  # where there are no keys


class Reason(StrEnum):
    """Why a caller is refused. For the audit log and the metrics: a stranger is told none of it."""

    NO_CREDENTIAL = "no-credential"
    WRONG_SCHEME = "wrong-scheme"
    UNKNOWN_KEY = "unknown-key"
    WRONG_SECRET = "wrong-secret"
    REVOKED = "revoked"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    MALFORMED_TOKEN = "malformed-token"
    WRONG_ALGORITHM = "wrong-algorithm"
    WRONG_SIGNATURE = "wrong-signature"
    WRONG_ISSUER = "wrong-issuer"
    WRONG_AUDIENCE = "wrong-audience"
    WRONG_CLAIMS = "wrong-claims"
    SCOPE = "scope"
    SOURCE = "source"


class Denied(Exception):
    """The credential is not accepted. `claimed`: whom it says it is of, as far as it could be read."""

    def __init__(self, reason: Reason, claimed: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.claimed = claimed


def admitted(groups: Collection[str], among: Collection[str] | None) -> bool:
    """Whether who is in the groups `among`, None for all, may know of what has these `groups`: none, or one of theirs."""
    return among is None or not groups or not set(among).isdisjoint(groups)


def refusal(identity: Identity, scope: str, path: Mapping[str, object], *, narrows: bool) -> Reason | None:
    """Why `identity` may not use a route of this scope, if it may not. Pure.

    `path`: the parameters of the route's path. One bound to sources may use routes whose path names one of them, and those
    that narrow what they do to its sources themselves.
    """
    if scope not in identity.scopes:
        return Reason.SCOPE
    if identity.sources is None:
        return None
    within = path["source"] in identity.sources if "source" in path else narrows
    return None if within else Reason.SOURCE
