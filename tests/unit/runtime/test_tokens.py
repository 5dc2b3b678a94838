"""Tokens of an identity provider: what they give, and that nothing wrong with one is overlooked."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from spanstream.runtime.identity import Denied, Identity, Reason
from spanstream.runtime.tokens import Claims, Tokens, parse_jwks
from tests.fixtures.called import called
from tests.fixtures.credentials import AUDIENCE, ISSUER, Provider, encoded, tokens_refused

CLAIMS = Claims(ISSUER, AUDIENCE, frozenset({"ES256", "RS256", "EdDSA"}), leeway_seconds=30)
PROVIDER = Provider()
REFUSED = tokens_refused(PROVIDER)


def tokens(**changed: Any) -> Tokens:
    claims = Claims(ISSUER, AUDIENCE, CLAIMS.algorithms, 30, **changed)
    jwks = parse_jwks(PROVIDER.jwks(), claims.algorithms)
    return Tokens(lambda: jwks, claims)


def test_token_gives_its_holder_what_it_says() -> None:
    expected = Identity("acme", frozenset({"read", "write", "admin"}), "token:ada", ("staff",), None)
    assert tokens().verify(PROVIDER.token()) == expected
    assert tokens().verify(PROVIDER.token(scope=["read", "profile"])).scopes == {"read"}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_token_is_refused_and_nothing_is_fetched(case: str) -> None:
    verifier = tokens()

    def verify() -> None:
        with pytest.raises(Denied):
            verifier.verify(REFUSED[case])

    assert not {"open", "connect", "connect_ex", "getaddrinfo", "socket"} & set(called(verify))


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("expired", Reason.EXPIRED),
        ("not yet valid", Reason.NOT_YET_VALID),
        ("wrong issuer", Reason.WRONG_ISSUER),
        ("wrong audience", Reason.WRONG_AUDIENCE),
        ("unknown kid", Reason.UNKNOWN_KEY),
        ("HS256 with the public key", Reason.WRONG_ALGORITHM),
        ("alg none", Reason.WRONG_ALGORITHM),
        ("changed claims", Reason.WRONG_SIGNATURE),
        ("no tenant", Reason.WRONG_CLAIMS),
    ],
)
def test_reason_is_told_apart(case: str, reason: Reason) -> None:
    with pytest.raises(Denied) as caught:
        tokens().verify(REFUSED[case])
    assert caught.value.reason is reason


def test_clocks_may_differ_by_the_leeway() -> None:
    now = int(time.time())
    assert tokens().verify(PROVIDER.token(exp=now - 10, nbf=now + 10)).tenant == "acme"


def test_a_bound_that_is_named_but_not_said_is_the_narrowest() -> None:
    bare = PROVIDER.token(groups=None, scope=None)
    identity = tokens(sources="sources").verify(bare)
    assert (identity.groups, identity.sources, identity.scopes) == ((), (), frozenset())
    assert tokens(groups="").verify(bare).groups is None
    said = tokens(sources="sources", tenant="https://acme.example/tenant").verify(
        PROVIDER.token(sources="wiki mail", **{"https://acme.example/tenant": "globex"})
    )
    assert (said.tenant, said.sources) == ("globex", ("mail", "wiki"))


@given(
    st.text(max_size=200)
    | st.lists(st.binary(max_size=60), min_size=3, max_size=3).map(lambda parts: ".".join(map(encoded, parts)))
)
def test_any_text_is_refused_without_an_error(text: str) -> None:
    with pytest.raises(Denied):
        tokens().verify(text)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "b64", "zip", "crit", "jku", "x5u"]),
        st.none() | st.text() | st.integers() | st.lists(st.text()) | st.just("ES256") | st.just("k1"),
    )
)
def test_any_header_is_refused_without_an_error(header: dict[str, Any]) -> None:
    with pytest.raises(Denied):
        tokens().verify(f"{encoded(header)}.{encoded(PROVIDER.claims())}.{encoded(b'x' * 64)}")


def test_keys_of_several_kinds_and_none_for_encryption() -> None:
    strong, edwards = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()
    keys = [
        jwt.algorithms.RSAAlgorithm.to_jwk(strong.public_key(), as_dict=True) | {"kid": "r"},
        jwt.algorithms.OKPAlgorithm.to_jwk(edwards.public_key(), as_dict=True) | {"kid": "o"},
        PROVIDER.jwk(use="enc", kid="e"),
    ]
    jwks = parse_jwks(json.dumps({"keys": keys}).encode(), CLAIMS.algorithms)
    assert {kid: key.algorithms for kid, key in jwks.items()} == {"r": ("RS256",), "o": ("EdDSA",)}
    verifier = Tokens(lambda: jwks, CLAIMS)
    for key, algorithm, kid in ((strong, "RS256", "r"), (edwards, "EdDSA", "o")):
        token = jwt.encode(PROVIDER.claims(), key, algorithm, {"kid": kid})
        assert verifier.verify(token).tenant == "acme"
    with pytest.raises(Denied):  # an algorithm of the same key that is not on the list
        verifier.verify(jwt.encode(PROVIDER.claims(), strong, "RS512", {"kid": "r"}))


def weak() -> dict[str, Any]:
    key = rsa.generate_private_key(65537, 1024)
    return jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "w"}


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}],
        [jwt.algorithms.ECAlgorithm.to_jwk(PROVIDER.key, as_dict=True) | {"kid": "private"}],
        [weak()],
        [PROVIDER.jwk(kid=None)],
        [PROVIDER.jwk(), PROVIDER.jwk()],
        [PROVIDER.jwk(alg="HS256")],
        [PROVIDER.jwk(alg="ES384")],
        [PROVIDER.jwk(x="AA")],
        [PROVIDER.jwk(crv="P-999")],
        [PROVIDER.jwk(use="enc")],
        [1],
    ],
)
def test_set_of_keys_that_is_not_safe_is_refused(keys: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"key|JWK|Expecting|double quotes"):
        parse_jwks(json.dumps({"keys": keys}).encode(), CLAIMS.algorithms)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"keys": 1}', b"[" * 100_000])
def test_file_that_is_no_set_of_keys_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"key|JWK|Expecting|double quotes"):
        parse_jwks(data, CLAIMS.algorithms)
