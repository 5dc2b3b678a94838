from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentence_transformers
import torch
import transformers

from spanstream.encoder.errors import EncoderRejected, EncoderUnavailable
from spanstream.encoder.reranker import Reranker
from spanstream.representations.cross_encoder import CrossEncoder, open_cross_encoder
from spanstream.representations.errors import ModelNotFound, ModelUnsupported
from tests.unit.representations.tiny import LINES, WINDOW, build, config_of, tokenizer_of

QUERY = "which books does a library buy"
TEXTS = [*LINES, "", "a " * 500]


def cross_encoder(folder: Path, kind: str = "bert", labels: int = 1) -> Path:
    torch.manual_seed(5)
    tokenizer = tokenizer_of(kind)
    config = config_of(kind, tokenizer, layers=2, num_labels=labels)
    network = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])
def test_scores_are_those_of_sentence_transformers(tmp_path: Path, kind: str) -> None:
    folder = cross_encoder(tmp_path / kind, kind)
    peer = sentence_transformers.CrossEncoder(
        str(folder), device="cpu", activation_fn=torch.nn.Identity(), max_length=WINDOW
    )
    expected = peer.predict([(QUERY, text) for text in TEXTS])
    np.testing.assert_allclose(open_cross_encoder(str(folder)).score(QUERY, TEXTS), expected, atol=1e-4)


def test_scores_do_not_depend_on_what_is_scored_beside(tmp_path: Path) -> None:
    model = open_cross_encoder(str(cross_encoder(tmp_path)))
    together = model.score(QUERY, TEXTS * 60)  # several batches
    alone = [float(model.score(QUERY, [text])[0]) for text in TEXTS]
    np.testing.assert_allclose(together, alone * 60, atol=1e-4)


def test_of_two_outputs_the_second_means_relevant(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path, labels=2)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        logits = network(**tokenizer(QUERY, TEXTS[0], return_tensors="pt", truncation=True, max_length=WINDOW)).logits[
            0
        ]
    np.testing.assert_allclose(
        open_cross_encoder(str(folder)).score(QUERY, TEXTS[:1]), logits[1] - logits[0], atol=1e-4
    )


def test_no_texts_no_scores(tmp_path: Path) -> None:
    assert open_cross_encoder(str(cross_encoder(tmp_path))).score(QUERY, []).shape == (0,)


def test_it_is_a_reranker_that_refuses_once_closed(tmp_path: Path) -> None:
    model: Reranker = open_cross_encoder(str(cross_encoder(tmp_path)))
    assert isinstance(model, CrossEncoder)
    with pytest.raises(EncoderRejected):
        model.score("\ud800", ["a"])
    model.close()
    with pytest.raises(EncoderUnavailable):
        model.score(QUERY, TEXTS)


def test_what_is_no_cross_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupported, match="lack"):
        open_cross_encoder(str(build(tmp_path / "encoder", "bert", {"pooling_mode_mean_tokens": True})))
    with pytest.raises(ModelUnsupported, match="3 outputs"):
        open_cross_encoder(str(cross_encoder(tmp_path / "classes", labels=3)))
    with pytest.raises(ModelNotFound):
        open_cross_encoder(str(tmp_path / "nothing"))
