"""Synthetic voices that say digits, for training beside human ones: those of espeak-ng and of flite."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipeline.demo.make_corpus import DIGITS, LINE_RATE, Speaker, speak
from pipeline.errors import UserError

Samples = NDArray[np.float32]
Said = tuple[str, str, Samples]
"""Voice, digit and (N,) samples at 8 kHz."""

PROGRAMS = ("espeak-ng", "flite")
"""Packages of these names in Debian and Ubuntu."""

VARIANTS = ("m1", "m3", "m5", "m7", "f1", "f2", "f4", "f5", "Annie", "Alex")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp")
"""Of espeak-ng, whose voices are made by rule."""

RECORDED = ("kal16", "awb", "rms", "slt", "awb_time")
"""Of flite, whose voices are made of recordings of people."""
STRETCHES = (0.7, 0.8, 0.9, 1.0, 1.15)
MARKS = ("", ".", "?", ",")
"""What is written behind a digit changes how it is said."""


def require_programs() -> None:
    """Look for both programs.

    Raises:
        UserError: one is not installed.
    """
    for name in PROGRAMS:
        if shutil.which(name) is None:
            raise UserError(f"{name} is not installed, which makes synthetic voices; apt-get install {name}")


def by_rule() -> list[Said]:
    """Every digit in every voice of espeak-ng.

    Raises:
        UserError: it speaks none of them.
    """
    made: list[Said] = []
    mute = []
    for number, (accent, variant) in enumerate(itertools.product(ACCENTS, VARIANTS)):
        name = f"{accent}+{variant}"
        voice = Speaker(name, name, 120 + 12 * (number % 5), 50, "flac", ())
        try:
            made += [(name, digit, speak(digit, voice)) for digit in DIGITS]
        except (subprocess.CalledProcessError, IndexError):
            mute.append(name)
    return _heard("espeak-ng", made, mute)


def recorded() -> list[Said]:
    """Every digit in every voice of flite, at several speeds and in several tones.

    Raises:
        UserError: it speaks none of them.
    """
    # It speaks with another voice where it lacks the one that is asked for.
    there = subprocess.run(["flite", "-lv"], check=True, capture_output=True, text=True).stdout.split()
    ways = list(itertools.product(DIGITS, STRETCHES, MARKS))
    made = [
        (f"flite-{voice}", digit, _flite(voice, digit + mark, stretch))
        for voice in RECORDED
        if voice in there
        for digit, stretch, mark in ways
    ]
    return _heard("flite", made, [voice for voice in RECORDED if voice not in there])


def _heard(program: str, made: list[Said], mute: list[str]) -> list[Said]:
    if not made:
        raise UserError(f"{program} speaks none of the synthetic voices; is its data installed?")
    if mute:
        print(f"{program} does not speak {', '.join(mute)}: {len(mute)} voices fewer")
    return made


def _flite(voice: str, text: str, stretch: float) -> Samples:
    """What flite says, without the silence around it."""
    with tempfile.TemporaryDirectory(prefix="voxmill-") as folder:
        file = Path(folder) / "said.wav"
        settings = ["-voice", voice, "--setf", f"duration_stretch={stretch}"]
        subprocess.run(["flite", *settings, "-t", text, "-o", str(file)], check=True, capture_output=True)
        samples, rate = soundfile.read(file, dtype="float32")
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    margin = rate // 100
    said: Samples = soxr.resample(samples[max(0, loud[0] - margin) : loud[-1] + margin], rate, LINE_RATE)
    return said
