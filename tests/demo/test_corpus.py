"""The shipped shards are what the script plans, small, sound where they should be, and transcribed well."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch
from transformers import Wav2Vec2BertForCTC, Wav2Vec2BertProcessor

from pipeline import demo
from pipeline.demo import make_corpus
from pipeline.demo.make_corpus import Samples, Speaker
from pipeline.scoring import word_errors


def files() -> dict[str, bytes]:
    found = {}
    for shard in sorted(demo.corpus_folder().glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
    return found


def tone(digit: str, speaker: Speaker) -> Samples:
    pitch = 300 + 40 * make_corpus.DIGITS.index(digit) + speaker.pitch
    return np.sin(np.arange(2400) * 2 * np.pi * pitch / make_corpus.LINE_RATE).astype(np.float32)


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return dict(make_corpus.shards(tone))


def test_the_shards_hold_what_the_script_plans() -> None:
    found = files()
    for utterance in make_corpus.utterances():
        assert found[f"{utterance.key}.txt"].decode().strip() == utterance.text
        assert json.loads(found[f"{utterance.key}.json"])["speaker"] == utterance.speaker.name
    audio = [name for name in found if name.rpartition(".")[2] in make_corpus.FORMATS]
    assert len(audio) == 38
    assert len(found) == 3 * 37 + 1


def test_the_members_of_a_key_follow_each_other(made: dict[str, bytes]) -> None:
    for content in made.values():
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            keys = [member.name.partition(".")[0] for member in tar]
        assert len(set(keys)) == sum(a != b for a, b in zip(keys, ["", *keys], strict=False))


def test_every_file_but_the_broken_one_is_sound() -> None:
    seconds = []
    for name, content in files().items():
        if name.endswith((".txt", ".json")):
            continue
        if name.startswith(make_corpus.BROKEN):
            with pytest.raises(soundfile.LibsndfileError, match="Format not recognised"):
                soundfile.info(io.BytesIO(content))
            continue
        seconds.append(soundfile.info(io.BytesIO(content)).duration)
    assert len(seconds) == 37
    assert 180 < sum(seconds) < 240
    assert sum(20 < duration < 40 for duration in seconds) == 3


def test_the_shards_are_small() -> None:
    assert sum(shard.stat().st_size for shard in demo.corpus_folder().glob("*.tar")) < 1.5e6


def test_making_twice_gives_the_same_bytes(made: dict[str, bytes]) -> None:
    assert dict(make_corpus.shards(tone)) == made


def test_a_steady_ogg_stream_still_decodes_to_the_same_samples() -> None:
    out = io.BytesIO()
    samples = 0.3 * tone("six", make_corpus.SPEAKERS[0])
    soundfile.write(out, samples, 16000, format="OGG", subtype="OPUS")
    before, _ = soundfile.read(io.BytesIO(out.getvalue()))
    after, _ = soundfile.read(io.BytesIO(make_corpus.steady(out.getvalue())))
    assert np.array_equal(before, after)


def test_the_checkpoint_transcribes_the_corpus_well_but_not_perfectly() -> None:
    folder = str(demo.checkpoint_folder())
    processor = Wav2Vec2BertProcessor.from_pretrained(folder)
    model = Wav2Vec2BertForCTC.from_pretrained(folder).eval()
    found = files()
    references, transcripts = [], []
    for utterance in make_corpus.utterances():
        content = found[f"{utterance.key}.{utterance.speaker.extension}"]
        references.append(utterance.text)
        transcripts.append(_transcribe(content, processor, model))
    score = word_errors(references, transcripts)
    print(f"demo corpus: {score.errors} of {score.words} words wrong, {100 * (score.rate or 0):.2f} %")
    assert 0.01 < (score.rate or 0) < 0.08


def _transcribe(content: bytes, processor: Any, model: Any) -> str:
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    features = processor(soxr.resample(samples, rate, 16000), sampling_rate=16000, return_tensors="pt")
    with torch.inference_mode():
        ids = model(**features).logits.argmax(-1)
    text: str = processor.batch_decode(ids)[0]
    return text


def test_the_folders_are_inside_the_package() -> None:
    package = Path(demo.__file__).parent
    assert demo.corpus_folder() == package
    assert (demo.checkpoint_folder() / "model.safetensors").is_file()
