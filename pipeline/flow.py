"""What happens to one unit: read, featurise, infer, rows. Start here; everything else is a detail of a line below.

Where the model's device makes the features, `decode` and `featurise_samples` are the two halves of `featurise`.

No Ray: `pipeline.engine` carries these functions onto a cluster and adds nothing to their meaning.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from pipeline import audio, sources
from pipeline.audio import FEATURE_SIZE, Facts
from pipeline.corpus import FRAMES_PER_SECOND, Recording, Seconds, Unit
from pipeline.errors import ErrorRow, VoxmillError
from pipeline.featurising import ON_DEVICE, Featurise, here, made_of
from pipeline.fed import Fed
from pipeline.sources import Encoded
from pipeline.stitching import Cuts, Kept
from pipeline.tasks import Heard, Pieces, Rows, Task

if TYPE_CHECKING:
    from pipeline.models.predict import Predictor
    from pipeline.models.wants import Want


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the way of a unit depends on."""

    window: int
    """Most frames that the model sees at once, context included."""
    context: int
    """Frames on each side of a cut whose outputs are thrown away."""
    features: str = "float64"
    """What the features are computed in, float64 or float32, see `audio.features_of_crops`; or `ON_DEVICE`."""
    dtype: str = "float32"
    """Of the frames between features and model: float32, or float16 where the model computes in half precision."""

    @classmethod
    def of(cls, *, window: Seconds, context: Seconds, half: bool, features: str = "float64") -> Settings:
        """From seconds."""
        frames = (round(window * FRAMES_PER_SECOND), round(context * FRAMES_PER_SECOND))
        dtype = "float16" if half else "float32"
        return cls(window=frames[0], context=frames[1], features=features, dtype=dtype)

    @property
    def context_seconds(self) -> int:
        """Whole seconds of audio that a span hears on both sides of its own."""
        # A frame looks 15 ms into the next one's time: the audio of the last one ends after its share of the clock.
        return -(-(self.context + 1) // FRAMES_PER_SECOND)


@dataclass(frozen=True, slots=True)
class UnitFeatures:
    """The features of one unit, packed: no padding, one recording after the other."""

    recordings: tuple[Recording, ...]
    frames: np.ndarray
    """(sum T, 160) float32 or float16, 50 frames/s."""
    lengths: tuple[int, ...]
    """T of each recording, 0 where it has an error."""
    facts: tuple[Facts | None, ...]
    """What decoding found out about each; None where it has an error."""
    errors: dict[int, ErrorRow]

    @property
    def heard(self) -> list[int]:
        """Numbers of the recordings of which there are any."""
        return [i for i, length in enumerate(self.lengths) if length]

    def recording_of(self, frame: int) -> Recording:
        """Whose frame this is."""
        return self.recordings[bisect(list(accumulate(self.lengths)), frame)]

    def without(self, failed: Mapping[int, ErrorRow]) -> UnitFeatures:
        """The same unit, but that these recordings have failed."""
        return replace(
            self,
            frames=_without(self.frames, self.lengths, failed),
            lengths=tuple(0 if i in failed else length for i, length in enumerate(self.lengths)),
            facts=tuple(None if i in failed else each for i, each in enumerate(self.facts)),
            errors={**self.errors, **failed},
        )


@dataclass(frozen=True, slots=True)
class UnitSamples:
    """The samples of one unit, of which the model's device makes its features; packed as those are."""

    recordings: tuple[Recording, ...]
    samples: np.ndarray
    """(sum N,) at 16 kHz: int16 where all were 16-bit audio at that rate, else float32 within +-1."""
    counts: tuple[int, ...]
    """N of each recording, 0 where it has an error."""
    facts: tuple[Facts | None, ...]
    errors: dict[int, ErrorRow]

    @property
    def heard(self) -> list[int]:
        """Numbers of the recordings of which there are any."""
        return [i for i, count in enumerate(self.counts) if count]

    def without(self, failed: Mapping[int, ErrorRow]) -> UnitSamples:
        """The same unit, but that these recordings have failed."""
        return replace(
            self,
            samples=_without(self.samples, self.counts, failed),
            counts=tuple(0 if i in failed else count for i, count in enumerate(self.counts)),
            facts=tuple(None if i in failed else each for i, each in enumerate(self.facts)),
            errors={**self.errors, **failed},
        )


Prepared = UnitFeatures | UnitSamples
"""What CPUs give to the model."""

Fbank = Callable[[np.ndarray, Sequence[int]], np.ndarray]
"""Packed samples and how many are each recording's -> its features, (sum T, 160) float32, each normalised by itself."""


@dataclass(frozen=True, slots=True)
class UnitOutputs:
    """What the models said about one unit, windows already stitched."""

    recordings: tuple[Recording, ...]
    lengths: tuple[int, ...]
    facts: tuple[Facts | None, ...]
    errors: dict[int, ErrorRow]
    kept: dict[str, Kept]
    """By the name of the task."""
    faults: dict[str, str]
    """What leaves a task of the unit pending, by its name."""
    fed: Fed
    """What encoders computed for it."""

    def without(self, failed: Mapping[int, ErrorRow]) -> UnitOutputs:
        """The same unit, but that these recordings have failed."""
        return replace(
            self,
            lengths=tuple(0 if i in failed else length for i, length in enumerate(self.lengths)),
            facts=tuple(None if i in failed else each for i, each in enumerate(self.facts)),
            errors={**self.errors, **failed},
            kept={name: kept.without(failed) for name, kept in self.kept.items()},
        )


@dataclass(frozen=True, slots=True)
class Doing:
    """A task at work on a unit."""

    task: Task
    after: str | None = None
    """Name of the task whose frame labels this one looks at."""


def read(unit: Unit, beat: Callable[[], None] = lambda: None) -> Encoded:
    """The encoded bytes of a unit; a recording that cannot be read gets an error, a storage fault is raised.

    Args:
        unit: which.
        beat: is called after each answer of storage, from several threads.
    """
    return sources.read(unit, beat)


def prepare(encoded: Encoded, settings: Settings, featurise_files: Featurise = here) -> Prepared:
    """What CPUs do with a unit: decode it, and featurise it unless the model's device does that."""
    return (decode if settings.features == ON_DEVICE else featurise)(encoded, settings, featurise_files)


def featurise(encoded: Encoded, settings: Settings, featurise_files: Featurise = here) -> UnitFeatures:
    """Decode and featurise every recording of a unit; what is wrong with one stays with that one.

    Args:
        encoded: the unit's bytes.
        settings: what the features are.
        featurise_files: what does it, here or in a process of its own.
    """
    made = made_of(encoded, settings.context_seconds, settings.features, featurise_files)
    # Half as much to carry, and no more than what a model in half precision takes in.
    parts = [part.astype(settings.dtype, copy=False) for part in made.parts]
    return UnitFeatures(
        recordings=encoded.recordings,
        frames=_packed(parts, np.empty((0, FEATURE_SIZE), settings.dtype)),
        lengths=made.lengths,
        facts=made.facts,
        errors=made.errors,
    )


def decode(encoded: Encoded, settings: Settings, decode_files: Featurise = here) -> UnitSamples:
    """Decode every recording of a unit, and find what is to be known of its seams; arguments as in `featurise`."""
    made = made_of(encoded, settings.context_seconds, ON_DEVICE, decode_files)
    return UnitSamples(
        recordings=encoded.recordings,
        samples=_packed(audio.of_one_kind(made.parts), np.empty(0, np.int16)),
        counts=made.lengths,
        facts=made.facts,
        errors=made.errors,
    )


def featurise_samples(heard: UnitSamples, fbank: Fbank, settings: Settings) -> UnitFeatures:
    """Make the features of samples."""
    return UnitFeatures(
        recordings=heard.recordings,
        frames=fbank(heard.samples, heard.counts).astype(settings.dtype, copy=False),
        lengths=tuple(map(audio.num_stacked, heard.counts)),
        facts=heard.facts,
        errors=heard.errors,
    )


def infer(
    features: UnitFeatures,
    predictors: Sequence[Predictor],
    doing: Mapping[str, Doing],
    settings: Settings,
    known: UnitOutputs | None = None,
) -> UnitOutputs:
    """Run each encoder once over windows of every recording, and show each task's head what it wants to see of it.

    Args:
        features: of the unit.
        predictors: that have a model for each task, by the task's name, or for some of them.
        doing: the tasks. One that looks at another's labels comes behind it, and its predictor not before the other's.
        settings: how windows are cut.
        known: what other predictors found before.
    """
    cuts = Cuts.of(features.lengths, features.facts, window=settings.window, context=settings.context)
    stretches = [part.windows for part in cuts.parts]
    before = known.kept if known else {}
    found = {name: cuts.split(kept) for name, kept in before.items() if name in doing and not doing[name].task.pools}
    notes: dict[str, dict[int, Pieces]] = {name: {} for name in doing}
    faults = dict(known.faults) if known else {}
    raised: list[Exception] = []
    fed = known.fed if known else Fed()

    def attempt(predictor: Predictor, names: Sequence[str]) -> bool:
        nonlocal fed
        wants = {name: _want(name, doing[name], cuts, notes[name], found) for name in names}
        if not wants:
            return True
        try:
            found.update(predictor.run(features.frames, stretches, wants))
            fed = fed.plus(_fed(cuts, predictor))
        except Exception as error:  # noqa: BLE001
            raised.append(error)
            return False
        return True

    for predictor in predictors:
        mine = [name for name, each in doing.items() if name in predictor.models and each.after not in faults]
        if attempt(predictor, mine):
            continue
        # Each by itself, so that one that fails holds up no other.
        for name in mine:
            if doing[name].after not in faults and not (len(mine) > 1 and attempt(predictor, [name])):
                faults[name] = _told(raised[-1])
    behind = {name: f"{each.after}, whose labels it needs, failed" for name, each in doing.items()
              if each.after in faults}  # fmt: skip
    if raised and doing.keys() <= behind.keys() | faults.keys():
        raise raised[0]
    return UnitOutputs(
        recordings=features.recordings,
        lengths=features.lengths,
        facts=features.facts,
        errors=features.errors,
        kept=before | {name: cuts.kept(found[name], notes[name]) for name in found if name not in before},
        faults=behind | faults,
        fed=fed,
    )


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, VoxmillError) else f"{type(error).__name__}: {error}"


def _fed(cuts: Cuts, predictor: Predictor) -> Fed:
    """What an encoder has just computed."""
    filler = predictor.filler_frames
    return Fed(cuts.fed + filler, context=cuts.fed - cuts.num_frames, padding=filler)


def _want(
    name: str, doing: Doing, cuts: Cuts, notes: dict[int, Pieces], found: Mapping[str, Sequence[tuple[np.ndarray, ...]]]
) -> Want:
    """Ask a head for what its task wants to see; the pieces are noted, for its rows tell where they lie."""
    from pipeline.models.wants import Want

    task, after = doing.task, doing.after
    if not task.pools:
        return Want(name, task.reduce)

    def pieces(number: int, known: Mapping[str, tuple[np.ndarray, ...]]) -> list[tuple[int, int]]:
        labels = None
        if after is not None:
            (labels,) = found[after][number] if after in found else known[after]
        notes[number] = task.pieces(cuts.parts[number].stretch(labels))
        return [(each.start, each.stop) for each in notes[number].pieces]

    return Want(name, task.reduce, pieces, None if after in found else after)


def rows(outputs: UnitOutputs, name: str, task: Task) -> Rows:
    """The columns of a task, one row a recording, and every error of the unit."""
    made = task.rows(list(_heard(outputs, outputs.kept[name])))
    return Rows(made.columns, {**outputs.errors, **made.errors}, made.warnings)


def _without(packed: np.ndarray, lengths: Sequence[int], failed: Collection[int]) -> np.ndarray:
    edges = [0, *accumulate(lengths)]
    parts = [packed[edges[i] : edges[i + 1]] for i, length in enumerate(lengths) if length and i not in failed]
    return _packed(parts, packed[:0])


def _packed(parts: Sequence[np.ndarray], nothing: np.ndarray) -> np.ndarray:
    # A unit of one long recording is not copied.
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else nothing


def _heard(outputs: UnitOutputs, kept: Kept) -> Iterator[Heard | None]:
    """What was heard in each recording, and where that lies in it."""
    stop = 0
    each = zip(outputs.recordings, outputs.facts, outputs.lengths, kept.counts, kept.speech, strict=True)
    for recording, facts, length, count, speech in each:
        start, stop = stop, stop + count
        if facts is None:
            yield None
            continue
        before, after = recording.span > 0, recording.span < recording.spans - 1
        yield Heard(
            columns=tuple(column[start:stop] for column in kept.columns),
            pieces=kept.pieces[start:stop],
            speech=speech,
            own=(facts.first_frame, facts.stop_frame),
            offset=facts.start - facts.first_frame / FRAMES_PER_SECOND,
            start=facts.quiet_start if before else facts.start,
            end=_end(facts, length, after=after),
            audio_end=facts.quiet_end if after else facts.start + facts.duration,
            own_end=facts.start + facts.duration,
        )


def _end(facts: Facts, num_frames: int, *, after: bool) -> Seconds | None:
    """First moment that is not this row's; None where nothing was heard past its end."""
    if after:
        return facts.quiet_end
    return facts.start + facts.duration if facts.stop_frame < num_frames else None
