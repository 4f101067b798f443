"""One unit from bytes to rows, beside transformers, and whatever a unit may hold."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch

from pipeline import config, demo, flow
from pipeline.audio import Facts, Window
from pipeline.corpus import Recording
from pipeline.device_features import features_on
from pipeline.errors import StorageFault
from pipeline.featurising import ON_DEVICE
from pipeline.fed import Fed
from pipeline.flow import Doing
from pipeline.models.batching import batches, waste
from pipeline.models.predict import GPU_FRAMES, SIZES
from pipeline.models.wants import Want
from pipeline.sources import Encoded
from pipeline.stitching import Cuts
from pipeline.tasks.transcribe import NAME
from tests.digits import encoded, utterances
from tests.units import WHOLE, Ear, recordings_of, unit_of

CONFIDENCE = 1e-4


@dataclass(frozen=True)
class Reference:
    """The same checkpoint in transformers, one recording at a time."""

    processor: Any
    model: torch.nn.Module

    def logits(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """(T, V) of the frames that hold audio: where their number is odd, one of padding follows, masked."""
        samples = samples if rate == 16000 else soxr.resample(samples, rate, 16000)
        inputs = self.processor([samples], sampling_rate=16000, return_tensors="pt")
        with torch.inference_mode():
            logits = self.model(**inputs).logits[0].numpy()
        return logits[: int(inputs["attention_mask"].sum())]

    def text(self, logits: np.ndarray) -> str:
        """Words apart by one space: where blanks part two delimiters, transformers writes two."""
        return " ".join(self.processor.batch_decode(torch.from_numpy(logits.argmax(-1))[None])[0].split())


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Reference:
    from transformers import Wav2Vec2BertForCTC, Wav2Vec2BertProcessor
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = Wav2Vec2BertForCTC.from_pretrained(checkpoint).eval()
    return Reference(Wav2Vec2BertProcessor.from_pretrained(checkpoint), model)


@pytest.fixture(scope="module")
def ear(checkpoint: Path) -> Ear:
    return Ear.of(checkpoint)


@pytest.fixture(scope="module")
def spoken(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    """Strings of digits at 8 kHz, one file each."""
    folder = tmp_path_factory.mktemp("spoken")
    for each in utterances(speech, count=40):
        (folder / f"{each.key}.flac").write_bytes(encoded(each.samples))
    return recordings_of(folder)


@pytest.fixture(scope="module")
def read_aloud(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    """Human sentences at 16 kHz, FLAC and Opus. The model knows digits only; the numbers need not make sense."""
    folder = tmp_path_factory.mktemp("read")
    for path in [*sorted(speech.glob("librispeech/test-other/**/*.flac"))[::6],
                 *sorted(speech.glob("librispeech/train-clean-100/*.ogg"))[::56]]:  # fmt: skip
        (folder / path.name).symlink_to(path)
    return recordings_of(folder)


def samples_of(recording: Recording) -> tuple[np.ndarray, int]:
    return soundfile.read(recording.source.removeprefix("file://"), dtype="float32")


def logits_of(features: np.ndarray, ear: Ear) -> np.ndarray:
    want = Want(NAME, lambda output: (output.logits,))  # type: ignore[union-attr]
    ((logits,),) = ear.predictor.run(features, [[Window(0, len(features), 0, len(features))]], {"w": want})["w"]
    return logits


def split(features: flow.UnitFeatures) -> list[np.ndarray]:
    return np.split(features.frames, np.cumsum(features.lengths)[:-1])


def write(folder: Path, name: str, samples: np.ndarray, rate: int = 16000, *, format: str = "WAV") -> None:
    (folder / name).write_bytes(encoded(samples, rate, format))


def assert_same_words(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one["text"] == other["text"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=CONFIDENCE)
        for word, same in zip(one["words"], other["words"], strict=True):
            assert (word["word"], word["start"], word["end"]) == (same["word"], same["start"], same["end"])
            assert word["confidence"] == pytest.approx(same["confidence"], abs=CONFIDENCE)


def test_sentences_at_16_khz_have_the_logits_of_transformers(
    read_aloud: list[Recording], ear: Ear, reference: Reference
) -> None:
    features = flow.featurise(flow.read(unit_of(read_aloud)), WHOLE)
    rows = ear.rows_of(features)
    apart = 0.0
    for recording, row, frames in zip(read_aloud, rows, split(features), strict=True):
        theirs = reference.logits(*samples_of(recording))
        ours = logits_of(frames, ear)
        assert ours.shape == theirs.shape
        apart = max(apart, float(np.abs(ours - theirs).max()))
        assert row["text"] == reference.text(theirs)
    print(f"{len(rows)} recordings at 16 kHz: logits at most {apart:.1e} apart")
    assert apart <= 1e-2


def test_digits_at_8_khz_have_the_logits_of_transformers(
    spoken: list[Recording], ear: Ear, reference: Reference
) -> None:
    features = flow.featurise(flow.read(unit_of(spoken)), WHOLE)
    rows = ear.rows_of(features)
    apart = 0.0
    for recording, row, frames in zip(spoken, rows, split(features), strict=True):
        theirs = reference.logits(*samples_of(recording))
        apart = max(apart, float(np.abs(logits_of(frames, ear) - theirs).max()))
        assert row["text"] == reference.text(theirs)
    print(f"{len(rows)} recordings at 8 kHz: logits at most {apart:.1e} apart")
    assert apart <= 1e-2


def test_float32_features_of_8_khz_change_hardly_a_token(spoken: list[Recording], ear: Ear) -> None:
    # The upper bands hold nothing but the rounding noise of the arithmetic: 4 of 69,435 tokens of 400 strings changed,
    # and with them one text.
    exact, rough = (
        flow.featurise(flow.read(unit_of(spoken)), replace(WHOLE, features=dtype)) for dtype in ("float64", "float32")
    )
    assert np.abs(exact.frames - rough.frames).max() > 1e-3
    best = [np.concatenate([logits_of(part, ear).argmax(-1) for part in split(each)]) for each in (exact, rough)]
    different = int((best[0] != best[1]).sum())
    print(f"float32 features of 8 kHz: {different} of {len(best[0])} best tokens differ")
    assert different <= len(best[0]) / 1000


def test_features_of_the_device_give_the_rows_that_those_of_cpus_give(
    spoken: list[Recording], read_aloud: list[Recording], ear: Ear, tmp_path: Path
) -> None:
    (tmp_path / "broken.flac").write_bytes(b"no audio")
    write(tmp_path, "short.wav", np.zeros(100, np.float32))
    unit = unit_of([*spoken[:8], *recordings_of(tmp_path), *read_aloud[:4]])
    settings = replace(WHOLE, features=ON_DEVICE)
    heard = flow.prepare(flow.read(unit), settings)
    assert isinstance(heard, flow.UnitSamples)
    ours = flow.featurise_samples(heard, features_on("cpu"), settings)
    theirs = flow.featurise(flow.read(unit), WHOLE)
    assert (ours.lengths, ours.facts, ours.errors) == (theirs.lengths, theirs.facts, theirs.errors)
    assert len(ours.errors) == 1
    assert np.abs(ours.frames - theirs.frames).max() <= 0.03
    rows, wanted = ([row for row in ear.rows_of(each) if row["error"] is None] for each in (ours, theirs))
    assert len(rows) == 13
    assert_same_words(rows, wanted)


def test_features_of_the_device_change_no_transcript_of_the_embedded_corpus(ear: Ear) -> None:
    corpus, settings = recordings_of(demo.corpus_folder()), replace(WHOLE, features=ON_DEVICE)
    prepared = flow.decode(flow.read(unit_of(corpus)), settings)
    ours = ear.rows_of(flow.featurise_samples(prepared, features_on("cpu"), settings), settings)
    theirs = ear.rows(corpus)
    assert len(ours) == len(corpus) > 30
    assert [row["text"] for row in ours] == [row["text"] for row in theirs]
    assert [row["facts"] for row in ours] == [row["facts"] for row in theirs]


def test_a_unit_in_which_nothing_is_heard_leaves_the_device_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "broken.flac").write_bytes(b"no audio")
    settings = replace(WHOLE, features=ON_DEVICE, dtype="float16")
    heard = flow.decode(flow.read(unit_of(recordings_of(tmp_path))), settings)
    features = flow.featurise_samples(heard, features_on("cpu"), settings)
    assert (features.frames.shape, features.frames.dtype, features.lengths) == ((0, 160), np.float16, (0,))


def test_neighbours_in_a_unit_change_nothing(spoken: list[Recording], read_aloud: list[Recording], ear: Ear) -> None:
    alone = [ear.rows([each])[0] for each in spoken[:8]]
    assert_same_words(ear.rows(spoken[:8]), alone)
    mixed = [*read_aloud[:3], *reversed(spoken[:8]), *spoken[8:16]]
    assert_same_words(ear.rows(mixed)[3:11], alone[::-1])


@pytest.mark.parametrize("frame_budget", [1, 200, 700, 100_000])
def test_the_size_of_batches_changes_nothing(spoken: list[Recording], ear: Ear, frame_budget: int) -> None:
    features = flow.featurise(flow.read(unit_of(spoken[:12])), WHOLE)
    assert_same_words(ear.budgeted(frame_budget).rows_of(features), ear.rows_of(features))


def test_half_precision_frames_give_the_same_text(spoken: list[Recording], ear: Ear) -> None:
    half = flow.Settings.of(window=60, context=1, half=True)
    features = flow.featurise(flow.read(unit_of(spoken[:12])), half)
    assert features.frames.dtype == np.float16
    single = flow.UnitFeatures(
        features.recordings, features.frames.astype(np.float32), features.lengths, features.facts, features.errors
    )
    assert [row["text"] for row in ear.rows_of(single)] == [row["text"] for row in ear.rows(spoken[:12])]


def test_copies_in_other_forms_have_the_transcript_of_the_original(speech: Path, tmp_path: Path, ear: Ear) -> None:
    # With sound in every band: what was 8 kHz has only rounding noise in the upper half, which each copy makes anew
    # and which this model, trained on such noise, hears.
    noise = np.random.default_rng(0)
    spoken = utterances(speech, count=6)
    for each in spoken:
        samples = soxr.resample(each.samples, 8000, 16000)
        samples += noise.normal(0, 1e-3, len(samples)).astype(np.float32)
        for rate in (16000, 44100, 48000):
            copy = soxr.resample(samples, 16000, rate, quality="VHQ")
            write(tmp_path, f"{each.key}-{rate}-1.flac", copy, rate, format="FLAC")
            write(tmp_path, f"{each.key}-{rate}-2.wav", np.stack([copy, 0.5 * copy], axis=1), rate)
    recordings = recordings_of(tmp_path)
    rows = {each.key: row for each, row in zip(recordings, ear.rows(recordings), strict=True)}
    assert len(rows) == 6 * len(spoken)
    for key, row in rows.items():
        name, rate, channels = key.rsplit("-", 2)
        assert row["text"] == rows[f"{name}-16000-1"]["text"] != ""
        assert (row["facts"].sample_rate, row["facts"].channels) == (int(rate), int(channels))
        assert row["facts"].duration == pytest.approx(rows[f"{name}-16000-1"]["facts"].duration, abs=1 / 16000)


def test_a_line_whose_audio_cannot_be_read_is_a_row_with_the_remedy(tmp_path: Path) -> None:
    names = ("film.MP4", "packed.wav.gz", "text.wav", "misnamed.m4a", "empty.m4a")
    for name in names:
        (tmp_path / name).write_bytes(b"no audio that is known" if name != "empty.m4a" else b"")
    soundfile.write(tmp_path / "misnamed.m4a", np.zeros(1600), 16000, format="WAV")
    (tmp_path / "list.jsonl").write_text("\n".join(json.dumps({"path": name}) for name in names))
    made = flow.featurise(flow.read(unit_of(recordings_of(tmp_path / "list.jsonl"))), WHOLE)
    said = {names[index]: (each.stage, each.type, each.message) for index, each in made.errors.items()}
    known = "not an audio file that libsndfile knows (header b'no audio tha'): Format not recognised"
    assert said == {
        "film.MP4": ("decode", "decode", f"{known}; mp4 cannot be read; convert it to FLAC or Opus"),
        "packed.wav.gz": ("decode", "decode", f"{known}; audio within gz is not opened; decompress it"),
        "text.wav": ("decode", "decode", known),
        "empty.m4a": ("decode", "empty", "the file has no bytes"),
    }


def test_lines_of_a_manifest_hear_their_stretch_of_one_file(speech: Path, tmp_path: Path, ear: Ear) -> None:
    strings = [each.samples for each in utterances(speech, count=4)]
    edges = np.cumsum([0, *map(len, strings)])
    write(tmp_path, "all.flac", np.concatenate(strings), 8000, format="FLAC")
    for number, samples in enumerate(strings):
        write(tmp_path, f"{number}.flac", samples, 8000, format="FLAC")
    lines = [
        {"audio_filepath": "all.flac", "offset": edges[n] / 8000, "duration": len(strings[n]) / 8000}
        for n in (2, 0, 3, 1)
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    recordings = recordings_of(tmp_path / "list.jsonl")
    assert len({flow.read(unit_of(recordings)).slices}) == 1
    rows = ear.rows(recordings)
    alone = ear.rows(recordings_of(*(tmp_path / f"{n}.flac" for n in (2, 0, 3, 1))))
    for line, row, one in zip(lines, rows, alone, strict=True):
        assert row["text"] == one["text"] != ""
        assert (row["facts"].start, row["facts"].duration) == (line["offset"], line["duration"])
        for word, same in zip(row["words"], one["words"], strict=True):
            # Word times count from the start of the file; the frames of a line start where it starts.
            assert word["start"] == pytest.approx(same["start"] + line["offset"], abs=1e-6)
            assert line["offset"] <= word["start"] <= word["end"] <= line["offset"] + line["duration"]


def test_a_bad_recording_keeps_its_fault_to_itself(spoken: list[Recording], tmp_path: Path, ear: Ear) -> None:
    good = [Path(each.source.removeprefix("file://")) for each in spoken[:3]]
    for number, path in enumerate(good):
        (tmp_path / f"{2 * number}.flac").symlink_to(path)
    (tmp_path / "1.flac").write_text("this is no audio")
    (tmp_path / "3.flac").write_bytes(good[0].read_bytes())
    recordings = recordings_of(tmp_path)
    (tmp_path / "3.flac").unlink()
    rows = ear.rows(recordings)
    assert [each.key for each in recordings] == ["0", "1", "2", "3", "4"]
    assert_same_words([rows[0], rows[2], rows[4]], ear.rows(spoken[:3]))
    assert [(row["error"].stage, row["error"].type) for row in (rows[1], rows[3])] == [
        ("decode", "decode"),
        ("read", "missing"),
    ]
    for row in (rows[1], rows[3]):
        assert (row["text"], row["confidence"], row["words"], row["facts"]) == (None, None, None, None)


def test_a_unit_of_nothing_but_errors_has_its_rows(tmp_path: Path, ear: Ear) -> None:
    for name in ("a.wav", "b.flac"):
        (tmp_path / name).write_text("this is no audio")
    write(tmp_path, "c.wav", np.zeros(0))
    rows = ear.rows(recordings_of(tmp_path))
    assert [row["error"].type for row in rows] == ["decode", "decode", "empty"]
    assert [row["text"] for row in rows] == [None] * 3


@pytest.mark.parametrize("beside", [(), ("speech",)])
@pytest.mark.parametrize("num_samples", [1, 399, 400, 559])
def test_less_audio_than_a_frame_is_silence(
    spoken: list[Recording], tmp_path: Path, ear: Ear, num_samples: int, beside: tuple[str, ...]
) -> None:
    write(tmp_path, "short.wav", np.full(num_samples, 0.1))
    more = spoken[: len(beside)]
    row = ear.rows([*recordings_of(tmp_path), *more])[0]
    assert (row["text"], row["confidence"], row["words"], row["error"]) == ("", None, [], None)
    assert row["facts"].duration == num_samples / 16000


@pytest.mark.parametrize("seconds", [0.5, 20.0])
@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_is_what_the_model_takes_it_for(
    tmp_path: Path, ear: Ear, reference: Reference, seconds: float, level: float
) -> None:
    noise = np.random.default_rng(0).standard_normal(round(seconds * 16000))
    write(tmp_path, "silence.wav", level * noise)
    recordings = recordings_of(tmp_path)
    features = flow.featurise(flow.read(unit_of(recordings)), WHOLE)
    assert np.isfinite(features.frames).all()
    (row,) = ear.rows_of(features)
    assert row["error"] is None
    assert row["text"] == reference.text(reference.logits(*samples_of(recordings[0])))
    assert all(math.isfinite(word["confidence"]) for word in row["words"])


class Deaf:
    """A predictor that says one thing about every frame, with a certainty that is given."""

    models = (NAME,)

    def __init__(self, token: int, log_prob: float, filler_frames: int = 0) -> None:
        self._said = token, log_prob
        self.filler_frames = filler_frames

    def run(
        self, features: np.ndarray, stretches: Sequence[Sequence[Window]], wants: Mapping[str, Want]
    ) -> dict[str, list[Any]]:
        token, log_prob = self._said
        kept = [sum(each.keep_stop - each.keep_start for each in windows) for windows in stretches]
        said = [(np.full(count, token, np.int32), np.full(count, log_prob, np.float32)) for count in kept]
        return dict.fromkeys(wants, said)


def test_silence_has_no_words_and_no_error(spoken: list[Recording], ear: Ear) -> None:
    deaf = Ear(Deaf(ear.task.tokenizer.blank_id, -0.1), ear.task)  # type: ignore[arg-type]
    row = deaf.rows(spoken[:2])[1]
    assert (row["text"], row["confidence"], row["words"], row["error"]) == ("", None, [], None)


def test_what_is_no_number_never_leaves_the_flow(spoken: list[Recording], ear: Ear) -> None:
    broken = Ear(Deaf(4, math.nan), ear.task)  # type: ignore[arg-type]
    row = broken.rows(spoken[:1])[0]
    assert (row["text"], row["confidence"], row["words"]) == (None, None, None)
    assert (row["error"].stage, row["error"].type) == ("model", "not_finite")


def test_a_truncated_file_keeps_what_decodes(speech: Path, tmp_path: Path, ear: Ear) -> None:
    said = utterances(speech, count=1)[0]
    buffer = io.BytesIO(encoded(said.samples, format="WAV"))
    (tmp_path / "cut.wav").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) * 3 // 4])
    (tmp_path / "whole.wav").write_bytes(buffer.getvalue())
    cut, whole = ear.rows(recordings_of(tmp_path))
    assert cut["error"] is None
    assert cut["text"].split() == whole["text"].split()[: len(cut["words"])] != []
    assert [warning.startswith("truncated") for warning in cut["facts"].warnings] == [True]


def test_seconds_become_frames() -> None:
    settings = flow.Settings.of(window=10, context=1.5, half=True)
    assert (settings.window, settings.context, settings.dtype) == (500, 75, "float16")
    assert settings.context_seconds == 2
    assert flow.Settings.of(window=10, context=0, half=False).context_seconds == 1


def test_context_and_padding_are_counted_apart(ear: Ear) -> None:
    def fed(*lengths: int, filler: int = 0) -> Fed:
        frames = np.zeros((sum(lengths), 160), np.float32)
        facts = tuple(Facts(0.0, each / 50, 16000, 1, (), 0, each, 0.0, each / 50) for each in lengths)
        features = flow.UnitFeatures((), frames, lengths, facts, {})
        settings = flow.Settings(window=100, context=20)
        return flow.infer(features, [Deaf(0, 0.0, filler)], {NAME: Doing(ear.task)}, settings).fed  # type: ignore[list-item]

    assert fed() == fed(0) == Fed()
    assert fed(100, 7) == Fed(107)
    assert fed(160) == Fed(200, context=40)  # two windows of 100 frames
    assert fed(160, 50) == Fed(250, context=40)
    assert fed(80, filler=20) == Fed(100, padding=20)
    assert fed(160, filler=50) == Fed(250, context=40, padding=50)


def test_what_another_encoder_computed_before_counts_too_and_one_that_had_nothing_to_do_does_not(ear: Ear) -> None:
    features = flow.UnitFeatures((), np.zeros((80, 160), np.float32), (80,), (None,), {})
    features = replace(features, facts=(Facts(0.0, 1.6, 16000, 1, (), 0, 80, 0.0, 1.6),))
    predictors: list[Any] = [Deaf(0, 0.0, 20), Idle()]
    first = flow.infer(features, predictors, {NAME: Doing(ear.task)}, WHOLE)
    assert first.fed == Fed(100, padding=20)
    assert flow.infer(features, predictors, {NAME: Doing(ear.task)}, WHOLE, known=first).fed == Fed(200, padding=40)


class Idle:
    """A predictor of other tasks, with what it filled up for the unit before."""

    models = ()
    filler_frames = 99


def test_at_most_3_percent_of_what_is_computed_for_the_embedded_corpus_is_padding(ear: Ear) -> None:
    defaults = config.make({})
    settings = flow.Settings.of(window=defaults.window, context=defaults.context, half=False)
    features = flow.featurise(flow.read(unit_of(recordings_of(demo.corpus_folder()))), settings)
    fed = flow.infer(features, [ear.predictor], {NAME: Doing(ear.task)}, settings).fed
    assert fed.frames - fed.context - fed.padding == sum(features.lengths) > 5000
    assert 0 < fed.context_share < 0.1
    assert fed.padding_share <= 0.03
    # The sizes of batches on a GPU.
    cuts = Cuts.of(features.lengths, features.facts, window=settings.window, context=settings.context)
    windows = [window.stop - window.start for part in cuts.parts for window in part.windows]
    assert 0 < waste(batches(windows, frame_budget=GPU_FRAMES, size_of=SIZES["fused"])) <= 0.03


class BrokenStore:
    """An open file whose storage fails."""

    def readinto(self, buffer):
        raise StorageFault("s3://archive/day.wav: 503 while reading")

    def seek(self, offset, whence=0):
        raise StorageFault("s3://archive/day.wav: 503 while reading")

    def tell(self):
        return 0


def test_a_fault_of_the_storage_is_never_written_down_as_a_broken_recording(monkeypatch):
    span = Recording(
        id="day@0-60", source="s3://archive/day.wav", key="day", version="1", recording="day", format="wav",
        seconds=60, seconds_from="header", size=9, end=60.0, spans=2,
    )  # fmt: skip
    monkeypatch.setattr(flow.sources, "open_audio", lambda _: contextlib.nullcontext(BrokenStore()))
    settings = flow.Settings.of(window=10, context=1, half=False)
    with pytest.raises(StorageFault, match="503 while reading"):
        flow.featurise(Encoded((span,), b"", (None,), {}), settings)
