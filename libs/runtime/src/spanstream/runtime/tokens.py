"""JSON Web Tokens of an identity provider: verified with the public keys of a file (a JWK set). Nothing is ever fetched.

RFC 7519, with the advice of RFC 8725: asymmetric algorithms from a list, the algorithm bound to the key, issuer, audience
and expiry required, headers that name keys elsewhere never followed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from spanstream.events.errors import InvalidKey
from spanstream.runtime.identity import SCOPES, Denied, Identity, Reason
from spanstream.runtime.keys import check_source, check_tenant

MAX_CHARACTERS = 8192  # of a token
MAX_SUBJECT = 256  # characters
_MIN_RSA_BITS = 2048
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}
_PRIVATE = frozenset({"d", "p", "q", "k"})
_REASONS: Mapping[type[jwt.PyJWTError], Reason] = {
    jwt.ExpiredSignatureError: Reason.EXPIRED,
    jwt.ImmatureSignatureError: Reason.NOT_YET_VALID,
    jwt.InvalidSignatureError: Reason.WRONG_SIGNATURE,
    jwt.InvalidAlgorithmError: Reason.WRONG_ALGORITHM,
    jwt.InvalidIssuerError: Reason.WRONG_ISSUER,
    jwt.InvalidAudienceError: Reason.WRONG_AUDIENCE,
    jwt.MissingRequiredClaimError: Reason.WRONG_CLAIMS,
}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token must say, and under which names it says who its holder is.

    `groups` or `sources` empty: tokens bind to none, hence see all. Named but absent from a token: it has none.
    """

    issuer: str
    audience: str
    algorithms: frozenset[str]
    leeway_seconds: float
    tenant: str = "tenant"
    scopes: str = "scope"
    groups: str = "groups"
    sources: str = ""


@dataclass(frozen=True, slots=True)
class _PublicKey:
    key: Any
    algorithms: tuple[str, ...]


JwkSet = Mapping[str, _PublicKey]


def parse_jwks(data: bytes, allowed: Collection[str]) -> JwkSet:
    """The signature keys of a JWK set by their `kid`, each with those of the `allowed` algorithms that suit it.

    Raises ValueError for a set that must not be used: with a symmetric or private key, a short one, or none.
    """
    found: dict[str, _PublicKey] = {}
    try:
        entries = list(json.loads(data)["keys"])
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError("not a JWK set") from error
    for entry in entries:
        if not isinstance(entry, dict) or _PRIVATE & entry.keys() or entry.get("kty") not in ("RSA", "EC", "OKP"):
            raise ValueError("not a set of public keys")
        if entry.get("use", "sig") != "sig":
            continue
        kid = entry.get("kid")
        if not isinstance(kid, str) or not kid or kid in found:
            raise ValueError("every key needs a kid of its own")
        found[kid] = _public_key(entry, allowed)
    if not found:
        raise ValueError("there is no key for signatures")
    return found


class Tokens:
    """Verifies tokens against the keys that `keys()` gives."""

    def __init__(self, keys: Callable[[], JwkSet], claims: Claims) -> None:
        self._keys = keys
        self._claims = claims

    def verify(self, token: str) -> Identity:
        """Whose token it is; raises Denied."""
        if len(token) > MAX_CHARACTERS:
            raise Denied(Reason.MALFORMED_TOKEN)
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys().get(kid) if isinstance(kid, str) else None
            if key is None:
                raise Denied(Reason.UNKNOWN_KEY, f"kid:{kid}"[:MAX_SUBJECT])
            said = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                issuer=self._claims.issuer,
                audience=self._claims.audience,
                leeway=self._claims.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise Denied(
                next((_REASONS[each] for each in type(error).__mro__ if each in _REASONS), Reason.MALFORMED_TOKEN)
            ) from error
        except (ValueError, TypeError, RecursionError) as error:  # of JSON that the library did not expect
            raise Denied(Reason.MALFORMED_TOKEN) from error
        return self._identity(said)

    def _identity(self, said: Mapping[str, Any]) -> Identity:
        names = self._claims
        subject = f"token:{said['sub']}"[:MAX_SUBJECT]
        try:
            tenant = said.get(names.tenant)
            if not isinstance(tenant, str):
                raise InvalidKey("no tenant")
            return Identity(
                check_tenant(tenant),
                SCOPES & _names(said.get(names.scopes)),
                subject,
                _bound(said, names.groups),
                tuple(map(check_source, bound)) if (bound := _bound(said, names.sources)) is not None else None,
            )
        except ValueError as error:
            raise Denied(Reason.WRONG_CLAIMS, subject) from error


def _public_key(entry: Mapping[str, Any], allowed: Collection[str]) -> _PublicKey:
    try:
        algorithms = [entry["alg"]] if "alg" in entry else [each for each in allowed if _suits(entry, each)]
        usable = [each for each in algorithms if each in allowed and _suits(entry, each)]
        if not usable:
            raise ValueError("no algorithm that is allowed suits a key")
        key = jwt.PyJWK(dict(entry), usable[0]).key
    except (jwt.PyJWTError, LookupError, TypeError) as error:
        raise ValueError("a key cannot be read") from error
    if entry["kty"] == "RSA" and key.key_size < _MIN_RSA_BITS:
        raise ValueError(f"an RSA key has less than {_MIN_RSA_BITS} bits")
    return _PublicKey(key, tuple(sorted(usable)))


def _suits(entry: Mapping[str, Any], algorithm: str) -> bool:
    if entry["kty"] == "RSA":
        return algorithm[:2] in ("RS", "PS")
    return _CURVES.get(entry.get("crv", "")) == algorithm


def _bound(said: Mapping[str, Any], claim: str) -> tuple[str, ...] | None:
    return tuple(sorted(_names(said.get(claim)))) if claim else None


def _names(value: Any) -> frozenset[str]:
    """Names in a claim: a list of texts, or one text with spaces between them; raises ValueError. Absent: none."""
    if value is None:
        return frozenset()
    names = value.split() if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise ValueError("names are a list of texts")
    return frozenset(names)
