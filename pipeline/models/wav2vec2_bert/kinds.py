"""The heads that there are, and what config.json calls each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

Head = Literal["none", "ctc", "frames", "classes", "xvector"]
"""Nothing; scores of tokens for every frame; of classes for every frame; of classes for a recording; a speaker."""

MODEL_TYPE = "wav2vec2-bert"
ARCHITECTURES: Mapping[Head, str] = {
    "none": "Wav2Vec2BertModel",
    "ctc": "Wav2Vec2BertForCTC",
    "frames": "Wav2Vec2BertForAudioFrameClassification",
    "classes": "Wav2Vec2BertForSequenceClassification",
    "xvector": "Wav2Vec2BertForXVector",
}
HEADS: tuple[Head, ...] = get_args(Head)


def head_of(document: Mapping[str, Any]) -> Head | None:
    """Find the head that a config.json names: CTC where it names none, None where we run no such head."""
    named = document.get("architectures") or [ARCHITECTURES["ctc"]]
    return next((head for head, architecture in ARCHITECTURES.items() if named == [architecture]), None)


def labels_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the classes in a config.json, in the order of a classifier's scores; two where it names none."""
    named = document.get("id2label")
    if named is None:
        return tuple(f"LABEL_{number}" for number in range(document.get("num_labels") or 2))
    return tuple(named[number] for number in sorted(named, key=int))
