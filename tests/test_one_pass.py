"""Several heads on one encoder: each says what it says alone, in any batch, and what transformers says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import config, demo, flow, models, stitching
from pipeline.errors import StorageFault
from pipeline.flow import Doing, Settings, UnitFeatures
from pipeline.models.predict import Predictor
from pipeline.models.wav2vec2_bert.encoder import Encoder
from pipeline.sources import Encoded
from pipeline.tasks import TASKS, Task, embed
from tests.heads import checkpoints
from tests.units import WHOLE, recordings_of, unit_of

OPTIONS = config.make({"threshold": "50%", "release": "40%"})


@pytest.fixture(scope="module")
def folders(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return checkpoints(checkpoint, tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="module")
def tasks(folders: dict[str, Path]) -> dict[str, Task]:
    made = {kind: TASKS[kind].of(folder, OPTIONS) for kind, folder in folders.items()}
    made["embed"] = embed.of(folders["embed"], OPTIONS, made["frames"])  # type: ignore[arg-type]
    return made


@pytest.fixture(scope="module")
def features() -> UnitFeatures:
    """Recordings of the demo, from 2 to 40 s."""
    unit = unit_of(recordings_of(demo.corpus_folder() / "digits-000000.tar"))
    return flow.featurise(flow.read(unit), WHOLE)


def predictor(folders: dict[str, Path], *kinds: str, frame_budget: int | None = None) -> Predictor:
    loaded: dict[str, models.Model] = {}
    for kind in kinds:
        encoder = next(iter(loaded.values())).encoder if loaded else None
        loaded[kind] = models.load(folders[kind], encoder=encoder)
    return Predictor(loaded, frame_budget=frame_budget)


def doing(tasks: dict[str, Task], *kinds: str) -> dict[str, Doing]:
    return {kind: Doing(tasks[kind], "frames" if kind == "embed" else None) for kind in kinds}


ALL = ("transcribe", "frames", "classify", "embed")
CUT = Settings(window=200, context=25)


def assert_same(ours: stitching.Kept, theirs: stitching.Kept, atol: float = 1e-4) -> None:
    assert (ours.counts, ours.speech) == (theirs.counts, theirs.speech)
    np.testing.assert_array_equal(ours.pieces, theirs.pieces)
    for column, same in zip(ours.columns, theirs.columns, strict=True):
        np.testing.assert_allclose(column, same, atol=atol, rtol=0)


@pytest.fixture(scope="module")
def together(folders: dict[str, Path], tasks: dict[str, Task], features: UnitFeatures) -> flow.UnitOutputs:
    return flow.infer(features, [predictor(folders, *ALL)], doing(tasks, *ALL), CUT)


@pytest.mark.parametrize("kind", ALL)
def test_a_task_by_itself_gives_the_same_as_among_others(folders, tasks, features, together, kind):
    kinds = ("frames", "embed") if kind == "embed" else (kind,)
    # Each model with an encoder of its own, one predictor behind the other.
    alone = flow.infer(features, [predictor(folders, each) for each in kinds], doing(tasks, *kinds), CUT)
    assert_same(together.kept[kind], alone.kept[kind])
    assert sum(together.kept[kind].counts) > 0


@pytest.mark.parametrize("frame_budget", [1, 300, 100_000])
def test_the_size_of_batches_changes_nothing(folders, tasks, features, together, frame_budget):
    found = flow.infer(features, [predictor(folders, *ALL, frame_budget=frame_budget)], doing(tasks, *ALL), CUT)
    for kind in ALL:
        assert_same(together.kept[kind], found.kept[kind])


def test_a_recording_gives_the_same_vector_whatever_lies_beside_it(folders, tasks, features, together):
    index = int(np.argmax(features.lengths))
    start = sum(features.lengths[:index])
    stop = start + features.lengths[index]
    alone = UnitFeatures(
        (features.recordings[index],), features.frames[start:stop], (features.lengths[index],),
        (features.facts[index],), {},
    )  # fmt: skip
    found = flow.infer(alone, [predictor(folders, *ALL)], doing(tasks, *ALL), CUT)
    rows = [
        flow.rows(outputs, "embed", tasks["embed"]).columns["embedding"][number].as_py()
        for outputs, number in ((found, 0), (together, index))
    ]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-4)


def test_the_encoder_runs_once_for_all_heads(folders, tasks, features, monkeypatch):
    fed = []
    states = Encoder.states

    def counting(self, frames, layout, attend=None):
        fed.append(layout.num_frames)
        return states(self, frames, layout, attend)

    monkeypatch.setattr(Encoder, "states", counting)
    outputs = flow.infer(features, [predictor(folders, *ALL)], doing(tasks, *ALL), CUT)
    assert sum(fed) == outputs.fed.frames
    assert outputs.fed.frames - outputs.fed.context - outputs.fed.padding == sum(features.lengths)


def test_stretches_bound_what_is_held_and_only_cut_segments(folders, tasks, features, together, monkeypatch):
    monkeypatch.setattr(stitching, "LONGEST_STRETCH", 400)
    found = flow.infer(features, [predictor(folders, *ALL)], doing(tasks, *ALL), CUT)
    for kind in ("transcribe", "frames", "classify"):
        assert_same(together.kept[kind], found.kept[kind])
    assert max(found.kept["embed"].pieces[:, 1] - found.kept["embed"].pieces[:, 0]) <= 400
    assert found.kept["embed"].speech == together.kept["embed"].speech


def transformers_model(name: str, folder: Path) -> Any:
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    return getattr(transformers, name).from_pretrained(folder).eval()


def theirs(model: Any, frames: np.ndarray, field: str = "logits") -> np.ndarray:
    with torch.inference_mode():
        output = model(torch.from_numpy(frames[None]), attention_mask=torch.ones(1, len(frames), dtype=torch.long))
    return output[field][0]


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("classify", "Wav2Vec2BertForSequenceClassification", lambda model, f: theirs(model, f).softmax(-1)[None]),
        ("frames", "Wav2Vec2BertForAudioFrameClassification", lambda model, f: theirs(model, f).softmax(-1)),
        (
            "embed",
            "Wav2Vec2BertForXVector",
            lambda model, f: torch.nn.functional.normalize(theirs(model, f, "embeddings")[None]),
        ),
    ],
)
def test_uncut_recordings_get_what_transformers_gives(folders, tasks, features, kind, name, expected):
    task = replace(tasks[kind], speech=None) if kind == "embed" else tasks[kind]
    outputs = flow.infer(features, [predictor(folders, kind)], {kind: Doing(task)}, WHOLE)
    kept = outputs.kept[kind]
    starts = np.cumsum((0, *kept.counts))
    model = transformers_model(name, folders[kind])
    compared = 0
    for number, frames in enumerate(np.split(features.frames, np.cumsum(features.lengths)[:-1])):
        if 75 <= len(frames) <= 500:
            ours = kept.columns[0][starts[number] : starts[number + 1]].astype(np.float32)
            np.testing.assert_allclose(ours, expected(model, frames).numpy(), atol=2e-3 if kind == "frames" else 1e-4)
            compared += 1
    assert compared >= 5


class Failing:
    """A predictor whose device has no memory."""

    filler_frames = 0

    def __init__(self, *kinds: str) -> None:
        self.models = dict.fromkeys(kinds)

    def run(self, *_: Any) -> Any:
        raise StorageFault("cuda:0: out of memory on one window")


def test_a_model_that_fails_holds_up_only_those_that_need_it(folders, tasks, features):
    predictors: list[Any] = [Failing("frames"), predictor(folders, "transcribe", "embed")]
    outputs = flow.infer(features, predictors, doing(tasks, "transcribe", "frames", "embed"), CUT)
    assert outputs.faults == {
        "frames": "cuda:0: out of memory on one window",
        "embed": "frames, whose labels it needs, failed",
    }
    assert set(outputs.kept) == {"transcribe"}


def test_a_unit_of_nothing_but_errors_has_rows_all_the_same(folders, tasks, features):
    failed = flow.featurise(Encoded(features.recordings[:3], b"no audio", ((0, 8),) * 3, {}), WHOLE)
    outputs = flow.infer(failed, [predictor(folders, *ALL)], doing(tasks, *ALL), CUT)
    for kind in ALL:
        made = flow.rows(outputs, kind, tasks[kind])
        assert {column.null_count for column in made.columns.values()} == {len(failed.recordings)}
        assert set(made.errors) == set(range(len(failed.recordings)))


def test_a_head_that_fails_holds_up_no_other_on_its_encoder(folders, tasks, features, together, monkeypatch):
    broken = replace(tasks["classify"], labels=replace(tasks["classify"].labels, problem="a bug"))
    monkeypatch.setattr(type(broken.labels), "probabilities", refusing(type(broken.labels).probabilities))
    found = flow.infer(features, [predictor(folders, *ALL)], doing({**tasks, "classify": broken}, *ALL), CUT)
    assert found.faults == {"classify": "ZeroDivisionError: made up"}
    for kind in ("transcribe", "frames", "embed"):
        assert_same(together.kept[kind], found.kept[kind])


def refusing(probabilities: Any) -> Any:
    def refused(labels: Any, logits: Any) -> Any:
        if labels.problem == "a bug":
            raise ZeroDivisionError("made up")
        return probabilities(labels, logits)

    return refused


def test_where_all_fail_the_cause_is_raised(folders, tasks, features):
    failing: Any = Failing("frames")
    with pytest.raises(StorageFault, match="out of memory on one window"):
        flow.infer(features, [failing], doing(tasks, "frames"), CUT)
