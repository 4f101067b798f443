"""A checkpoint is found, checked and hashed before any work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline import models
from pipeline.checkpoint import choose
from pipeline.errors import UserError
from pipeline.models.sharing import encoder_fingerprint


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "digits"))


def edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_good_one_has_its_name_hash_and_size(folder: Path) -> None:
    chosen = choose(str(folder), "transcribe")
    assert (chosen.path, chosen.name) == (folder.resolve(), "digits")
    assert len(chosen.hash) == 64
    assert chosen.encoder == f"{encoder_fingerprint(folder)}-2-0"
    assert chosen.shortest == 1
    assert chosen.num_bytes == (folder / "model.safetensors").stat().st_size


def test_none_is_asked_for() -> None:
    with pytest.raises(UserError, match="--model is needed"):
        choose("", "transcribe")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampling_rate", 8000),
        ("num_mel_bins", 40),
        ("stride", 1),
        ("feature_extractor_type", "Wav2Vec2FeatureExtractor"),
    ],
)
@pytest.mark.parametrize("newer", [True, False])
def test_other_features_are_refused_by_name(folder: Path, name: str, value: object, newer: bool) -> None:
    file = folder / "processor_config.json"
    settings = json.loads(file.read_text())["feature_extractor"] | {name: value}
    if newer:
        edit(file, feature_extractor=settings)
    else:
        file.unlink()
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=f"its feature extractor has {name}={value!r}"):
        choose(str(folder), "transcribe")


@pytest.mark.parametrize("head", ["none", "classes", "frames", "xvector"])
def test_a_checkpoint_with_another_head_is_refused(folder: Path, head: models.Head) -> None:
    models.save(models.load(folder, head=head), folder)
    with pytest.raises(UserError, match=r"architectures=\['Wav2Vec2Bert\w+'\]; transcription needs a CTC head"):
        choose(str(folder), "transcribe")


KINDS: dict[str, models.Head] = {"classify": "classes", "frames": "frames", "embed": "xvector"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_task_takes_its_head_and_no_other(folder: Path, kind: str) -> None:
    with pytest.raises(UserError, match=r"architectures=\['Wav2Vec2BertForCTC'\]; .* need"):
        choose(str(folder), kind)
    plain = choose(str(folder), "transcribe")
    models.save(models.load(folder, head=KINDS[kind]), folder)
    chosen = choose(str(folder), kind)
    assert chosen.encoder == plain.encoder
    assert chosen.hash != plain.hash
    for other in {*KINDS, "transcribe"} - {kind}:
        with pytest.raises(UserError, match="need"):
            choose(str(folder), other)


def test_the_fewest_frames_of_a_head_are_found(folder: Path) -> None:
    models.save(models.load(folder, head="xvector"), folder)
    # Windows of 5, then 3 with steps of 2 and of 3, and a deviation takes two: 4 + 4 + 6 + 2.
    assert choose(str(folder), "embed").shortest == 16


def test_an_adapter_is_refused(folder: Path) -> None:
    edit(folder / "config.json", add_adapter=True)
    with pytest.raises(UserError, match="adapter"):
        choose(str(folder), "transcribe")


def test_a_blank_beyond_the_head_is_refused(folder: Path) -> None:
    vocab = json.loads((folder / "vocab.json").read_text())
    last = max(vocab, key=lambda token: vocab[token])
    vocab["<pad>"], vocab[last] = vocab[last], vocab["<pad>"]
    vocab = dict(sorted(vocab.items(), key=lambda item: item[1]))
    longer = {
        **{token: id for token, id in vocab.items() if token != "<pad>"},
        "é": vocab["<pad>"],
        "<pad>": len(vocab),
    }
    (folder / "vocab.json").write_text(json.dumps(longer))
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(UserError, match="the blank .pad token. of vocab.json is number 18"):
        choose(str(folder), "transcribe")
