"""Small models of each kind in sentence-transformers' format, made here: weights by chance, tokenizers made of a few lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sentence_transformers
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

LINES = [
    "A stream of document events becomes a search index of meaning at every granularity.",
    "The boundary layer on a flat plate at zero incidence was measured at several Mach numbers; heat transfer rose.",
    "Who decides which books a library buys, and how are readers asked? query: passage: represent this sentence",
    "Über den Wolken, e\u0301 combining, \u4f60\u597d, 3.5 mmol/l within 40 minutes.",
]
KINDS = ("bert", "roberta", "xlm-roberta", "mpnet")
# By WordPieceTrainer, of LINES. Kept, for it breaks ties otherwise in each process, and what a model learns depends on them.
PIECES = Path(__file__).with_name("pieces.txt")
WIDTH, WINDOW = 32, 64


def build(folder: Path, kind: str, pooling: Mapping[str, Any], **modules: Any) -> Path:
    """A folder with `modules.json`, pooled as `pooling` says. `modules`: `dense` (out components), `prompts`, `normalize`."""
    torch.manual_seed(3)
    tokenizer = tokenizer_of(kind)
    config = config_of(kind, tokenizer, layers=3)
    network = transformers.AutoModel.from_config(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    listed = [("", "Transformer"), ("1_Pooling", "Pooling")]
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": WINDOW, "do_lower_case": False}))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": WIDTH, **pooling}))
    if out := modules.get("dense"):
        from sentence_transformers.sentence_transformer.modules import Dense

        (folder / "2_Dense").mkdir()
        Dense(WIDTH, out).save(str(folder / "2_Dense"))
        listed.append(("2_Dense", "Dense"))
    if modules.get("normalize"):
        listed.append(("3_Normalize", "Normalize"))
        (folder / "3_Normalize").mkdir()
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
                for i, (path, name) in enumerate(listed)
            ]
        )
    )
    if prompts := modules.get("prompts"):
        text = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(text))
    return folder


def config_of(kind: str, tokenizer: Any, *, layers: int, **more: Any) -> Any:
    """Of a model of this kind, as small as all here."""
    return transformers.AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=WINDOW + 2,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id or 0,
        eos_token_id=tokenizer.eos_token_id or 2,
        **more,
    )


def peer(folder: Path) -> sentence_transformers.SentenceTransformer:
    """What the folder is for its own library."""
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})


def tokenizer_of(kind: str) -> Any:
    if kind in ("bert", "mpnet"):
        return _wordpiece(kind)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    if kind == "roberta":
        made = tokenizers.Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        made.train_from_iterator(
            LINES, trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet)
        )
        made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    else:
        made = tokenizers.Tokenizer(models.Unigram())
        made.normalizer = normalizers.NFKC()
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.train_from_iterator(
            LINES, trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>")
        )
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=WINDOW,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def _wordpiece(kind: str) -> Any:
    opening, closing = ("[CLS]", "[SEP]") if kind == "bert" else ("<s>", "</s>")
    special = ["[PAD]", opening, closing, "[UNK]", "[MASK]"]
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys([*special, *PIECES.read_text().split()]))}
    made = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizer, splitter
    made.add_special_tokens(special)
    made.post_processor = processors.TemplateProcessing(
        single=f"{opening} $A {closing}", special_tokens=[(opening, 1), (closing, 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=WINDOW,
        cls_token=opening,
        sep_token=closing,
        bos_token=opening,
        eos_token=closing,
        pad_token="[PAD]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    )
