"""A release file decides what the model's folder does not; what is wrong in it is said by its key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from spanstream.encoder.encoder import Encoded, Text
from spanstream.representations.errors import ReleaseInvalid, TransformMismatch
from spanstream.representations.local import LocalEncoder
from spanstream.representations.model import Model, fingerprint, load
from spanstream.representations.poolings import Operator, Pooling
from spanstream.representations.release import Release, read_release
from spanstream.representations.transforms import Chain, fit, parse_stages
from tests.unit.representations.tiny import WIDTH, WINDOW, build

TEXT = "The wing stalls. A cat sleeps on the flat plate. Heat rose."
SENTENCES = np.array([[0, 16], [17, 48], [49, 59]], np.int32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("release") / "tiny", "bert", {"pooling_mode": "mean"})


def asked(text: str = TEXT, ranges: np.ndarray[Any, Any] = SENTENCES, context_ranges: int = 0) -> Text:
    return Text(text, ranges, boundaries=ranges[:, 0].copy(), context_ranges=context_ranges)


def encoded(folder: Path, text: Text | None = None, *, query: bool = False, **choices: Any) -> Encoded:
    local = LocalEncoder(load(Release("tiny", str(folder), **choices)))
    try:
        return local.encode([text or asked()], query=query)[0]
    finally:
        local.close()


def states_of(folder: Path, layers: tuple[int, ...] = (-1,)) -> tuple[Model, np.ndarray[Any, Any]]:
    model = load(Release("tiny", str(folder), layers=layers))
    (tokens,) = model.tokenize([TEXT])
    ids = np.concatenate([model.before, tokens.ids, model.after]).astype(np.int32)
    return model, model.states([ids])[0].numpy()


def unit(vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def write(folder: Path, text: str) -> Path:
    path = folder / "release.yaml"
    path.write_text(text)
    return path


def test_a_file_says_all_that_it_may(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    path = write(
        tmp_path,
        """
        release: small-1
        model_name_or_path: model
        revision: sha256:ab
        dtype: bfloat16
        max_seq_length: 128
        prompts: {query: "q: ", document: "d: "}
        include_prompt: false
        pooling: {pooling_mode: weightedmean, layers: [1, -1]}
        windows: {overlap_tokens: 32}
        granularities: {span: {operator: mean_ends}}
        truncate_dim: 16
        precision: turbo4
        """,
    )
    assert read_release(path) == Release(
        name="small-1",
        model=str(tmp_path / "model"),
        revision="sha256:ab",
        dtype="bfloat16",
        max_seq_length=128,
        query_prompt="q: ",
        document_prompt="d: ",
        include_prompt=False,
        pooling=Pooling.WEIGHTEDMEAN,
        layers=(1, -1),
        overlap_tokens=32,
        operator=Operator.MEAN_ENDS,
        truncate_dim=16,
        precision="turbo4",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("release: a", "model_name_or_path is missing"),
        ("release: a\nmodel_name_or_path: m\npoling: {}", "poling is not known here; known are .*pooling"),
        ("release: a\nmodel_name_or_path: m\npooling: {mode: mean}", r"pooling\.mode is not known here"),
        ("release: a\nmodel_name_or_path: m\npooling: {pooling_mode: median}", r"pooling_mode must be one of mean"),
        ("release: a\nmodel_name_or_path: m\npooling: {layers: 3}", "layers must be a list"),
        ("release: a\nmodel_name_or_path: m\nmax_seq_length: -1", "max_seq_length must be above 0"),
        (
            "release: a\nmodel_name_or_path: m\nmax_seq_length: many",
            "max_seq_length must be a whole number, not 'many'",
        ),
        ("release: a\nmodel_name_or_path: m\ninclude_prompt: 1", "include_prompt must be true or false"),
        ("release: a\nmodel_name_or_path: m\ndtype: int3", "dtype must be one of auto"),
        (
            "release: a\nmodel_name_or_path: m\nprecision: int8",
            "precision must be one of none, scalar, turbo8, .*'int8'",
        ),
        ("release: a\nmodel_name_or_path: m\nprompts: hello", "prompts must hold keys and values"),
        ("- a", "must hold keys and values"),
        ("a: [", "not YAML"),
        ("release: a\nmodel_name_or_path: m\npooling: 0", "pooling must hold keys and values"),
        ("release: a\nmodel_name_or_path: m\nprompts: []", "prompts must hold keys and values"),
        ("release: a\nmodel_name_or_path: m\ntruncate_dim: 8\ntruncate_dim: 9", "truncate_dim stands there twice"),
        ("release: a\nmodel_name_or_path: m\npooling: {layers: [1], layers: [2]}", "layers stands there twice"),
        ("release: a\nmodel_name_or_path: m\nrevision: 2024-13-45", "not YAML: month must be in"),
        ("release: a\nmodel_name_or_path: m\ntruncate_dim: 0x_", "not YAML"),
        ("release: a\nmodel_name_or_path: m\npooling: " + "{a: " * 2000, "not YAML"),
        ('release: "a\\ud800"\nmodel_name_or_path: m', "release must be at most .* whole ones"),
        ('release: "a\\nb"\nmodel_name_or_path: m', "release must be a name of at most 100 printable"),
        (f"release: {'a' * 101}\nmodel_name_or_path: m", "release must be a name of at most 100 printable"),
        ('release: a\nmodel_name_or_path: m\nprompts: {query: "\\ud800"}', r"prompts\.query must be .* whole ones"),
        ('release: a\nmodel_name_or_path: "a\\0b"', "model_name_or_path must be .* whole ones"),
    ],
)
def test_a_wrong_file_is_refused_by_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ReleaseInvalid, match=said):
        read_release(write(tmp_path, text))


@pytest.mark.parametrize(
    "key", ["dtype: *a8", "transforms: [{type: *a8}]", "transforms: [{type: pca, dimension: *a8}]"]
)
def test_aliases_are_not_written_out_in_the_message(tmp_path: Path, key: str) -> None:
    lines = ["a0: &a0 [word]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))]
    with pytest.raises(ReleaseInvalid) as caught:
        read_release(write(tmp_path, "\n".join([*lines, "release: a\nmodel_name_or_path: m", key])))
    assert len(str(caught.value)) < 1000


def test_a_model_of_a_name_no_file_system_takes_is_no_folder(tmp_path: Path) -> None:
    assert read_release(write(tmp_path, f"release: a\nmodel_name_or_path: {'m' * 300}")).model == "m" * 300


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseInvalid, match="cannot be read: No such file"):
        load(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"truncate_dim": WIDTH + 1}, "truncate_dim is 33, the vectors have 32"),
        ({"max_seq_length": WINDOW + 1}, "max_seq_length is 65, the model reads 64"),
        ({"query_prompt": "word " * 60}, "a prompt has .* more than a quarter of the 64"),
        ({"revision": "sha256:00"}, "revision is sha256:00, but"),
        ({"pooling": Pooling.MAX, "operator": Operator.ENDS}, "does not go with the pooling max"),
    ],
)
def test_a_release_that_does_not_fit_its_model_is_refused(folder: Path, choices: dict[str, Any], said: str) -> None:
    with pytest.raises(ReleaseInvalid, match=said):
        load(Release("tiny", str(folder), **choices))


def test_the_name_of_the_vectors_changes_with_whatever_changes_them(folder: Path, tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"pooling": Pooling.CLS},
        {"layers": (1,)},
        {"operator": Operator.ENDS},
        {"query_prompt": "q: "},
        {"document_prompt": "q: "},
        {"include_prompt": False},
        {"overlap_tokens": 8},
        {"max_seq_length": 32},
        {"truncate_dim": 16},
    ]
    names = {load(Release("tiny", str(folder), **each)).release for each in changes}
    assert len(names) == len(changes)
    assert load(Release("tiny", str(folder), dtype="bfloat16")).release in names
    assert load(Release("tiny", str(folder), precision="binary")).release in names
    assert load(Release("tiny", str(folder), revision=f"sha256:{fingerprint(folder)}")).release in names
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + " ")
    assert load(Release("tiny", str(other))).release not in names


@pytest.mark.parametrize(
    ("key", "value", "same"),
    [
        ("layer_norm_eps", 1e-6, False),
        ("num_attention_heads", 2, False),
        ("hidden_act", "relu", False),
        ("transformers_version", "0.0.1", True),
    ],
)
def test_what_a_models_configuration_says_of_its_vectors_is_in_its_name(
    folder: Path, tmp_path: Path, key: str, value: Any, same: bool
) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    told = json.loads((other / "config.json").read_text())
    assert told[key] != value
    (other / "config.json").write_text(json.dumps(told | {key: value}))
    assert (fingerprint(other) == fingerprint(folder)) is same


@pytest.mark.parametrize("choices", [{}, {"precision": "binary"}])
def test_the_encoder_says_what_the_index_is_to_keep(folder: Path, choices: dict[str, Any]) -> None:
    local = LocalEncoder(load(Release("tiny", str(folder), **choices)))
    local.close()
    assert local.info().precision == choices.get("precision", "none")


@pytest.mark.parametrize("layers", [(2,), (1, -1), (0,)])
def test_layers_are_averaged_and_those_above_not_read(folder: Path, layers: tuple[int, ...]) -> None:
    model, states = states_of(folder, layers)
    singles = [states_of(folder, (layer,))[1] for layer in layers]
    np.testing.assert_allclose(states, np.mean(singles, axis=0), atol=1e-5)
    assert len(model.network.layers) == max(layer % 4 for layer in layers)  # type: ignore[arg-type]


def test_a_layer_that_is_not_there_is_refused(folder: Path) -> None:
    from spanstream.representations.errors import ModelUnsupported

    with pytest.raises(ModelUnsupported, match="of a model that has 3"):
        load(Release("tiny", str(folder), layers=(4,)))


def test_layers_behind_the_pool_and_lower_case_are_part_of_the_name(tmp_path: Path) -> None:
    folder = build(tmp_path / "one", "bert", {"pooling_mode": "mean"}, dense=8)
    names = {load(str(folder)).fingerprint}
    weights = load_file(folder / "2_Dense" / "model.safetensors")
    save_file({name: 2 * array for name, array in weights.items()}, folder / "2_Dense" / "model.safetensors")
    names.add(load(str(folder)).fingerprint)
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    names.add(load(str(folder)).fingerprint)
    assert len(names) == 3


def test_operators_pool_spans_and_leave_passages(folder: Path) -> None:
    model, states = states_of(folder)
    (tokens,) = model.tokenize([TEXT])
    second = np.flatnonzero((tokens.offsets[:, 0] >= 17) & (tokens.offsets[:, 1] <= 48)) + 1
    ends = (states[second[0]] + states[second[-1]]) / 2
    mean = states[second].mean(0)
    text = asked(context_ranges=1)
    for operator, expected in (
        (Operator.ENDS, ends),
        (Operator.MEAN_ENDS, (ends + mean) / 2),
        (Operator.POOLING, mean),
    ):
        found = encoded(folder, text, operator=operator)
        np.testing.assert_allclose(found.ranges[1], unit(expected), atol=1e-5)
        np.testing.assert_allclose(found.ranges[0], encoded(folder, text).ranges[0], atol=1e-6)


def test_landmarks_stand_behind_sentences_and_are_what_is_pooled(folder: Path) -> None:
    model = load(Release("tiny", str(folder), pooling=Pooling.LANDMARK))
    (tokens,) = model.tokenize([TEXT])
    first = int((tokens.offsets[:, 1] <= 48).sum())  # behind the second sentence: the first one's is too near
    assert first >= 16
    ids = np.concatenate(
        [model.before, tokens.ids[:first], [model.landmark], tokens.ids[first:], [model.landmark], model.after]
    )
    states = model.states([ids.astype(np.int32)])[0].numpy()
    marks = [1 + first, len(ids) - 2]
    found = encoded(folder, pooling=Pooling.LANDMARK)
    np.testing.assert_allclose(found.whole, unit(states[marks].mean(0)), atol=1e-5)
    np.testing.assert_allclose(found.ranges[1], unit(states[marks[0]]), atol=1e-5)
    np.testing.assert_allclose(found.ranges[2], unit(states[marks[1]]), atol=1e-5)


@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("operator", [Operator.POOLING, Operator.MEAN_ENDS])
def test_texts_of_any_length_have_vectors_of_every_pooling(folder: Path, pooling: Pooling, operator: Operator) -> None:
    if pooling is Pooling.MAX and operator is not Operator.POOLING:
        pytest.skip("refused")
    local = LocalEncoder(load(Release("tiny", str(folder), pooling=pooling, operator=operator, document_prompt="d: ")))
    starts = np.arange(0, 50 * len(TEXT), len(TEXT), dtype=np.int32)
    ranges = np.stack([starts, starts + 40], axis=1)
    long = Text(TEXT * 50, ranges, "A title", starts, context_ranges=7)
    empty = Text("", np.zeros((2, 2), np.int32))
    both = local.encode([long, empty])
    alone = local.encode([long])[0]
    local.close()
    np.testing.assert_allclose(both[0].ranges, alone.ranges, atol=1e-5)
    np.testing.assert_allclose(both[0].whole, alone.whole, atol=1e-5)
    np.testing.assert_array_equal(both[1].ranges[0], both[1].whole)


def test_a_truncated_vector_is_the_beginning_of_the_whole_one(folder: Path) -> None:
    whole, cut = encoded(folder), encoded(folder, truncate_dim=12)
    np.testing.assert_allclose(cut.ranges, unit(whole.ranges[:, :12]), atol=1e-6)
    assert cut.whole.shape == (12,)


def test_queries_and_documents_have_their_own_prompts(folder: Path) -> None:
    prompts = {"query_prompt": "query: ", "document_prompt": "passage: "}
    query, document = (encoded(folder, query=query, **prompts) for query in (True, False))
    assert np.abs(query.whole - document.whole).max() > 1e-5
    plain = encoded(folder, asked("query: " + TEXT, SENTENCES + 7))
    np.testing.assert_allclose(query.whole, plain.whole, atol=1e-5)
    np.testing.assert_allclose(query.ranges, plain.ranges, atol=1e-5)


def fitted(folder: Path, file: Path, **choices: Any) -> Release:
    """A release with transforms that were fitted on vectors of this model."""
    model = load(Release("tiny", str(folder)))
    sample = np.random.default_rng(5).normal(size=(200, WIDTH)).astype(np.float32)
    specs = parse_stages([{"type": "center"}, {"type": "pca", "dimension": 8}])
    chain = fit(specs, unit(sample), release=model.release, fingerprint=model.fingerprint)
    chain.save(file)
    return Release("tiny", str(folder), transforms=tuple(chain.specs), transforms_file=file, **choices)


def test_transforms_are_behind_the_pool_and_in_the_name(folder: Path, tmp_path: Path) -> None:
    release = fitted(folder, tmp_path / "fitted.safetensors")
    model = load(release)
    assert (model.dimension, model.width) == (8, WIDTH)
    assert model.release != load(Release("tiny", str(folder))).release
    local = LocalEncoder(model)
    found, plain = local.encode([asked()])[0], encoded(folder)
    local.close()
    chain = Chain.load(tmp_path / "fitted.safetensors")
    np.testing.assert_allclose(found.ranges, chain.apply(plain.ranges), atol=1e-5)
    np.testing.assert_allclose(found.whole, chain.apply(plain.whole[None])[0], atol=1e-5)


def test_transforms_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    release = fitted(folder, tmp_path / "fitted.safetensors", pooling=Pooling.CLS)
    with pytest.raises(TransformMismatch, match="fitted on another model"):
        load(release)


def test_transforms_without_their_file_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "release: a\nmodel_name_or_path: m\ntransforms: [{type: truncate, dimension: 3}]")
    with pytest.raises(ReleaseInvalid, match="transforms_file go together"):
        read_release(path)
    path = write(tmp_path, "release: a\nmodel_name_or_path: m\ntransforms: [{type: twist}]\ntransforms_file: x")
    with pytest.raises(ReleaseInvalid, match="twist"):
        read_release(path)
