"""From an address to an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.hashing import HashEncoder
from spanstream.encoder.http import HttpEncoder
from spanstream.encoder.wire import VectorType


def open_encoder(
    url: str,
    *,
    timeout: float = 60.0,
    in_flight: int = 4,
    vectors: VectorType = "float32",
    trace: Callable[[], Mapping[str, str]] = dict,
) -> Encoder:
    """`http(s)://host:port[/release]` or `hash:<dimension>`; raises ValueError for anything else. Nothing is sent yet."""
    scheme, _, rest = url.partition(":")
    if scheme in ("http", "https") and rest.startswith("//"):
        return HttpEncoder(url, timeout=timeout, in_flight=in_flight, vectors=vectors, trace=trace)
    if scheme == "hash" and rest.isdigit() and int(rest) > 0:
        return HashEncoder(int(rest))
    raise ValueError(
        "ENCODER_URL must be http://…, https://… or hash:<dimension>; for a model in the same process leave it out and "
        "name the model with ENCODER_MODEL"
    )
