"""Fine-tuning as users call it: in this process or on a cluster, with what it says on the screen and in a log."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline import command, options
from pipeline.arguments import Parser
from pipeline.errors import UserError
from pipeline.fields import add_options, parse_job, with_file
from pipeline.noise import kept_off, removed
from pipeline.quantities import counted, show_seconds
from pipeline.stopping import Stopped
from pipeline.storage.paths import is_local, local_path, redact
from pipeline.storage.secrets import refuse_secrets
from pipeline.summary import COMPLETE, ERRORS, MEANINGS, PARTIAL, USAGE
from pipeline.training import checkpoints, config
from pipeline.training.config import TrainConfig
from pipeline.training.fit import RECORD, Fitted, fit, forget
from pipeline.training.log import LOG, followed, teller
from pipeline.training.prepare import prepare
from pipeline.training.team import Team
from pipeline.unread import may_go_unread

EXAMPLES = """examples:
  {prog} manifest.jsonl tuned/ --model path/to/checkpoint --task transcribe --epochs 20
  {prog} manifest.jsonl tuned/ --model path/to/checkpoint --task classify --freeze-encoder
  {prog} 'shards/*.tar' tuned/ --model path/to/checkpoint --task embed --speeds 0.9,1,1.1 --speed-speakers
  {prog} manifest.jsonl small/ --model folder/with/config.json --from-scratch --task transcribe

labels:
  transcribe  the text of a .txt sidecar, or the manifest's field `text`
  classify    `label`: a text is a class, a list of texts several classes, a number is to be predicted
  frames      `frames`: [{{"start": 0.5, "end": 1.25, "label": "speech"}}, ...], seconds of the recording
  embed       `speaker`
SOURCE may also be the folder of a table: its rows' columns are labels too (--label-field, --labels-from).

OUTPUT is a local folder, on a cluster one that all workers share. It becomes a Hugging Face checkpoint, with
curve.csv, curve.png, training.log and training.json beside it. Ended before its time, the same command goes on
from the last checkpoint. From scratch, config.json needs model_type "wav2vec2-bert" and the sizes that differ from
those of facebook/w2v-bert-2.0 (hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, tdnn_dim,
...); vocabulary, classes and head are found from --task and the labels."""

EXIT_MEANINGS = {**MEANINGS, ERRORS: "complete, with more unusable recordings than --max-errors allows"}
EXIT_CODES = "exit codes:\n" + "\n".join(f"  {code}  {meaning}" for code, meaning in sorted(EXIT_MEANINGS.items()))


def finetune(
    source: str | os.PathLike[str] | Sequence[str],
    output: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str],
    **asked: Any,
) -> Fitted:
    """Train a checkpoint on labelled audio.

    Args:
        source: JSONL manifest, folder, tar shards or pattern, on any storage that fsspec knows, or the folder of a
            table; or several.
        output: local folder of the result.
        model: checkpoint to start from.
        **asked: fields of `pipeline.training.config.TrainConfig`, the options of the command line with `_` for `-`.

    Returns:
        How it went; `state` is `ended` where the result is there, `stopped` where the same call goes on.

    Raises:
        UserError: a mistake that the caller can mend.
        StorageFault: storage or cluster failed; the same call goes on.
    """
    sources = [os.fspath(source)] if isinstance(source, str | os.PathLike) else [os.fspath(each) for each in source]
    chosen = config.make({**asked, "model": os.fspath(model)})
    with kept_off(show=chosen.debug) as (console, aside):
        fitted = run(sources, os.fspath(output), chosen, say=_on(console))
        removed(aside.log)
    return fitted


def run(sources: Sequence[str], output: str, chosen: TrainConfig, *, say: Callable[[str], None]) -> Fitted:
    """Check what can be checked, then train where it is asked; every line is shown and kept in the log."""
    if not sources:
        raise UserError("source: name at least one manifest, folder, tar or pattern")
    for name, text in (*(("", uri) for uri in (*sources, output)), *options.texts(chosen)):
        refuse_secrets(text, f"{name}: " if name else "")
    if not is_local(output):
        raise UserError(f"{redact(output)}: OUTPUT must be a local folder; copy the result from there")
    folder = Path(local_path(output))
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: a file is where a folder should be; name another OUTPUT, or move that file")
    _check_free(folder, chosen)
    # Mistakes in labels or model show here, before a cluster is started.
    prepared = prepare(sources, chosen)
    if chosen.restart:
        # Here and once: workers that begin again after a fault go on from their checkpoint.
        forget(folder)
        chosen = replace(chosen, restart=False)
    log = folder / LOG
    with followed(log, say):
        if chosen.without_ray:
            return fit(prepared, folder, chosen, team=Team(), device=_device(chosen), say=teller(log))
        from pipeline.engine.train import fit_on_cluster

        return fit_on_cluster(sources, folder, chosen, log=log)


def _check_free(folder: Path, chosen: TrainConfig) -> None:
    """Refuse to write over what no training wrote: the checkpoint to start from, another one, a table."""
    if folder.resolve() == Path(chosen.model).expanduser().resolve():
        raise UserError(f"{folder}: is the checkpoint to start from; name another folder for the result")
    strangers = [name for name in ("_plan", "config.json", "model.safetensors") if (folder / name).exists()]
    if strangers and not any((folder / name).exists() for name in (checkpoints.FOLDER, RECORD)):
        raise UserError(f"{folder}: holds {strangers[0]}, which no training made; name another folder for the result")


@may_go_unread()
def main(argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Parse, train, say how it went, return the exit code."""
    sources, output, given = parse_job(_parser(prog or os.path.basename(sys.argv[0])), argv)
    try:
        chosen = config.make(with_file(TrainConfig, given))
    except UserError as error:
        print(error, file=sys.stderr)
        return USAGE
    return command.shown(lambda console: _shown(sources, output, chosen, console), debug=chosen.debug)


def _shown(sources: list[str], output: str, chosen: TrainConfig, console: Console) -> int:
    say = _on(console)
    try:
        fitted = run(sources, output, chosen, say=say)
    except (Stopped, KeyboardInterrupt):
        say("stopped; the same command goes on from the last checkpoint")
        return PARTIAL
    code = exit_code(fitted, chosen.max_errors)
    for line in described(fitted, output, code):
        say(line)
    return code


def exit_code(fitted: Fitted, max_errors: float) -> int:
    """Complete, partial, or complete with too many recordings that were of no use."""
    if fitted.state == "stopped":
        return PARTIAL
    return ERRORS if fitted.unusable > max_errors * (fitted.examples + fitted.unusable) else COMPLETE


def described(fitted: Fitted, output: str, code: int) -> list[str]:
    """The end of a training, in lines."""
    score = "" if fitted.best is None else f"  ·  {fitted.metric} {fitted.best:.4f} at step {fitted.best_step}"
    lines = [f"{counted(fitted.steps, 'step')} on {counted(fitted.examples, 'example')}{score}  ·  "
             f"{show_seconds(fitted.seconds)}"]  # fmt: skip
    if fitted.state == "done before":
        lines.insert(0, "nothing to do: this training has ended before")
    lines += [f"unused  {reason}, such as {example}" for reason, example in fitted.unusable_examples.items()]
    if fitted.unusable:
        lines.append(f"unused  {counted(fitted.unusable, 'recording')} in all")
    if fitted.state == "stopped":
        lines.append("next    run the same command again: it goes on from the last checkpoint")
    else:
        lines.append(f"model   {output}    curve.png shows its course")
    return [*lines, f"exit    {code}: {EXIT_MEANINGS[code]}"]


def _on(console: Console) -> Callable[[str], None]:
    return lambda words: console.print(words, markup=False, soft_wrap=True)


def _device(chosen: TrainConfig) -> str:
    """Where this process trains.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    import torch

    from pipeline.placement import choose_device

    if (chosen.workers or 1) > 1:
        raise UserError(f"--without-ray trains with one worker, --workers asks for {chosen.workers}")
    return choose_device(chosen, gpus=torch.cuda.device_count(), local=True)


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Train Wav2Vec2-BERT on labelled audio: transcripts, classes, frames or speakers; from a bare "
        "encoder, another head, or from scratch.",
        epilog=f"{EXAMPLES.format(prog=prog)}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{prog} SOURCE [SOURCE ...] OUTPUT --model DIR_OR_HUB_ID --task TASK [options]",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="SOURCE OUTPUT",
        help="JSONL manifest, folder, tar shard, pattern or table with labels; last the folder of the result",
    )  # fmt: skip
    add_options(parser, TrainConfig)
    return parser


if __name__ == "__main__":
    sys.exit(main())
