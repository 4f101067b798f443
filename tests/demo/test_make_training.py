"""What the demo's checkpoints are trained on: strings, intervals of speech, noise at a known level."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.demo import voices
from pipeline.demo.make_training import (
    RATE,
    TEST_SNR,
    Clip,
    clips,
    join,
    main,
    noisy,
    strings,
)
from pipeline.demo.speech_labels import speech_of


def tone(seconds: float, rate: int = RATE, loud: float = 0.3) -> np.ndarray:
    return (loud * np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 440 / rate)).astype(np.float32)


GIVEN = [Clip(speaker, text, 0, tone(0.3)) for speaker in ("ann", "bob") for text in ("one", "two")]


def test_strings_are_of_one_voice_and_all_voices_come_equally_often():
    made = list(strings(GIVEN, 100, np.random.default_rng(0)))
    assert all(len({clip.speaker for clip in each}) == 1 for each in made)
    assert [each[0].speaker for each in made[:2]] == ["ann", "bob"]
    assert {len(each) for each in made} == set(range(1, 9))


def test_joined_digits_are_whole_and_apart():
    random = np.random.default_rng(1)
    said = join(GIVEN[:3], random, hiss=False)
    spans = speech_of(said, RATE)
    assert 1 <= len(spans) <= 3  # pauses of 30 ms are closed
    assert 0.7 < sum(each["end"] - each["start"] for each in spans) < 1.6
    assert np.abs(said).max() <= 1
    assert len(join(GIVEN[:1], random)) > 0.3 * RATE


def test_noise_lies_between_the_levels_that_are_named():
    random = np.random.default_rng(2)
    said = tone(2.0, loud=0.05)
    for _ in range(20):
        noise = noisy(said, random) - said
        snr = 10 * np.log10(np.square(said).mean() / np.square(noise).mean())
        assert TEST_SNR[0] - 0.5 < snr < TEST_SNR[1] + 0.5


def test_human_digits_are_read_by_split(speech):
    tests = clips(speech, "test")
    assert {clip.text for clip in tests} >= {"zero", "nine"}
    assert len(tests) == 250
    assert all(clip.samples.dtype == np.float32 for clip in tests)


def small(folder: Path) -> Path:
    """Two speakers, each digit said twice, and one sentence a split."""
    digits, sentences = ["path,text,speaker,split"], ["path,speaker,split"]
    for take, split in ((0, "test"), (5, "train"), (7, "train")):
        for speaker in ("ann", "bob"):
            soundfile.write(folder / f"0_{speaker}_{take}.flac", tone(0.3), RATE)
            digits.append(f"0_{speaker}_{take}.flac,zero,{speaker},{split}")
    for split in ("train", "test"):
        soundfile.write(folder / f"{split}.flac", tone(1.0, 16000), 16000)
        sentences.append(f"{split}.flac,19,{split}")
    (folder / "digits.csv").write_text("\n".join(digits))
    (folder / "librispeech.csv").write_text("\n".join(sentences))
    return folder


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("digits.csv", "there is no digits.csv here; name with --speech the folder"),
        ("librispeech.csv", "there is no librispeech.csv here; name with --speech the folder"),
        ("espeak-ng", "espeak-ng is not installed.*apt-get install espeak-ng"),
        ("flite", "flite is not installed.*apt-get install flite"),
        ("0_ann_5.flac", "digits.csv: 1 recording that it lists are not there, such as 0_ann_5.flac"),
        ("carl", "--without carl: there is no such speaker, only ann, bob"),
    ],
)
def test_what_is_missing_is_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, words: str
):
    speech = small(tmp_path)
    (speech / missing).unlink(missing_ok=True)
    monkeypatch.setattr(voices.shutil, "which", lambda name: None if name == missing else name)
    assert main([str(tmp_path / "out"), "--speech", str(speech), "--without", "carl"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert re.search(words, said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("text,speaker,split", "text,speaker,part", "digits.csv: there is no column 'split'; it needs path, text"),
        (",train", ",other", "digits.csv: no recording is of split 'train'"),
        ("_5.flac", "_7.flac", "digits.csv: of split train there must be takes 5 and 6, to choose by"),
    ],
)
def test_a_list_that_does_not_serve_is_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: str
):
    speech = small(tmp_path)
    listed = speech / "digits.csv"
    listed.write_text(listed.read_text().replace(old, new))
    assert main([str(tmp_path / "out"), "--speech", str(speech)]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert words in said
    assert main([str(tmp_path / "out"), "--speech", str(speech), "--strings", "-5"]) == 2
    assert "--strings -5: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_takes_that_are_chosen_by_are_not_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    speech = small(tmp_path)
    monkeypatch.setattr(voices.shutil, "which", lambda name: name)
    for kind in ("by_rule", "recorded"):
        monkeypatch.setattr(voices, kind, lambda: [(clip.speaker, clip.text, clip.samples) for clip in GIVEN])
    assert main([str(tmp_path / "out"), "--speech", str(speech), "--without", "bob", "--strings", "6"]) == 0
    counts = {path.stem: len(path.read_text().splitlines()) for path in (tmp_path / "out").glob("digits-*.jsonl")}
    assert counts == {"digits-train": 1, "digits-valid": 1, "digits-test": 2, "digits-left-out": 3}
    assert "bob" not in (tmp_path / "out/strings-human.jsonl").read_text()
