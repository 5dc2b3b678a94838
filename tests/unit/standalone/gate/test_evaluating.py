"""Two releases of a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from spanstream.standalone.encoder import encoding
from spanstream.standalone.encoder.judgements import Collection
from spanstream.standalone.gate import exam
from spanstream.standalone.gate.evaluating import evaluate
from tests.unit.representations.tiny import build
from tests.unit.standalone.gate.counting import TEXTS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model") / "bert", "bert", {"pooling_mode_mean_tokens": True}, normalize=True)


@pytest.mark.parametrize(
    ("base", "candidate", "read"),
    [("float32", "auto", "float32"), ("bfloat16", "auto", "bfloat16"), ("bfloat16", "float32", "float32")],
)
def test_a_candidate_that_names_no_dtype_is_read_in_the_base_s(
    base: str, candidate: str, read: str, model: Path, tmp_path: Path
) -> None:
    for name, dtype in (("base", base), ("candidate", candidate)):
        told = {"release": name, "model_name_or_path": str(model), "dtype": dtype}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(told))
    documents = [{"_id": str(number), "text": text, "title": ""} for number, text in enumerate(TEXTS)]
    queries = {str(number): text[:20] for number, text in enumerate(TEXTS)}
    asked = exam.judged(Collection(documents, queries, {query: {query: 1.0} for query in queries}), {}, "a test")
    with encoding.progress(quiet=True) as bar:
        found = evaluate(str(tmp_path / "base.yaml"), str(tmp_path / "candidate.yaml"), asked, None, bar)
    assert found.plain()["dtypes"] == {"base": base, "candidate": read}
