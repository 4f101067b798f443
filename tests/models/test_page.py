"""The model's page: its code runs, and it leaves out nothing that transformers documents of this model."""

from __future__ import annotations

import dataclasses
import inspect
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import transformers
from transformers import modeling_outputs
from transformers.models.wav2vec2_bert import modeling_wav2vec2_bert as theirs

from pipeline import models
from pipeline.demo import corpus_folder
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.kinds import ARCHITECTURES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "pipeline/models/README.md").read_text()
NAMED = set(re.findall(r"`(\w+)`", PAGE))
IGNORED = {"self", "kwargs", "args", "config", "transformers_version", "architectures", "id2label"}


def test_the_code_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(corpus_folder() / "digits-000001.tar") as tar:
        member = next(one for one in tar if one.name.endswith(".ogg"))
        (tmp_path / "talk.ogg").write_bytes(tar.extractfile(member).read())
    (tmp_path / "pipeline").symlink_to(ROOT / "pipeline")
    monkeypatch.chdir(tmp_path)
    seen: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(block, seen)
    assert models.load("tuned").config.vocab_size == len(seen["tokenizer"].tokens)
    assert {file.name for file in Path("tuned").iterdir()} >= {"vocab.json", "preprocessor_config.json"}


def parameters(*functions: object) -> Iterator[str]:
    for function in functions:
        yield from inspect.signature(function).parameters


def documented() -> set[str]:
    """Names of arguments, outputs and methods of the classes on transformers' page of this model."""
    names = set(ARCHITECTURES.values())
    for name in ARCHITECTURES.values():
        model = getattr(transformers, name)
        names |= set(parameters(model.__init__, model.forward))
        names |= {
            method for method in ("freeze_base_model", "from_pretrained", "save_pretrained") if hasattr(model, method)
        }
    outputs = (
        theirs.Wav2Vec2BertBaseModelOutput, modeling_outputs.CausalLMOutput, modeling_outputs.SequenceClassifierOutput,
        modeling_outputs.TokenClassifierOutput, modeling_outputs.XVectorOutput,
    )  # fmt: skip
    names |= {field.name for output in outputs for field in dataclasses.fields(output)}
    extractor, tokenizer = transformers.SeamlessM4TFeatureExtractor, transformers.Wav2Vec2CTCTokenizer
    processor = transformers.Wav2Vec2BertProcessor
    names |= set(parameters(extractor.__init__, extractor.__call__, tokenizer.__init__, processor.__call__))
    methods = {name: each for name, each in vars(tokenizer).items() if inspect.isfunction(each) and name[0] != "_"}
    names |= set(methods) | {"pad"} | set(parameters(tokenizer.decode, tokenizer.batch_decode))
    return names - IGNORED - {"sequences", "token_ids"}


def test_everything_that_transformers_documents_is_named() -> None:
    assert len(documented()) > 50
    assert documented() - NAMED == set()


def test_every_field_of_the_configuration_is_ours_or_named() -> None:
    fields = set(parameters(transformers.Wav2Vec2BertConfig.__init__))
    ours = {field.name for field in dataclasses.fields(Config)}
    assert len(fields) > 50
    assert fields - ours - NAMED - IGNORED == set()
