"""All benchmarks one after the other, and one table of what they come down to.

    python tests/benchmarks/run.py [--full] [--only job windows]

The short forms take some minutes on 2 cores; --full is what the figures in the README come from, and takes hours.
Ratios are of measurements within one benchmark, taken in turns on the same machine.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from tests.benchmarks.header import header  # noqa: E402


@dataclass(frozen=True)
class Benchmark:
    """A script of this folder."""

    name: str
    short: str
    """Arguments of the form that takes a minute or two."""
    full: str
    figures: tuple[tuple[str, str], ...]
    """What to show, and the pattern that finds it in the output; its groups are shown, one space between."""


BENCHMARKS = (
    Benchmark(
        "job",
        "--minutes 6",
        "--minutes 60",
        (
            ("job / transformers loop, start-up apart", r" ratio=([\d.]+)"),
            ("the same, start-up included", r"ratio_with_startup=([\d.]+)"),
            ("times real time", r"job=(\d+)x"),
            ("first unit committed after, s", r"first_unit_s=([\d.]+)"),
            ("WER of job and loop, %", r"wer_job=([\d.]+) % wer_transformers=([\d.]+)"),
            ("equal texts", r"equal_text=(\S+)"),
        ),
    ),
    Benchmark(
        "tasks",
        "--minutes 3 --layers 1",
        "--minutes 32",
        (
            ("three tasks, one encoder / three runs", r"ratio_shared=([\d.]+)"),
            ("three tasks, three encoders / their parts", r"ratio_apart=([\d.]+)"),
            ("classify / transformers script", r"ratio_classify=([\d.]+)"),
            ("label frames / transformers script", r"ratio_frames=([\d.]+)"),
            ("embed / transformers script", r"ratio_embed=([\d.]+)"),
        ),
    ),
    Benchmark(
        "fbank",
        "--rounds 2",
        "--rounds 4",
        (
            ("float64 / transformers, kaldi-native-fbank", r"voxmill, float64 .*? ([\d.]+) x tr.* ([\d.]+) x kaldi"),
            ("float32 / transformers, kaldi-native-fbank", r"voxmill, float32 .*? ([\d.]+) x tr.* ([\d.]+) x kaldi"),
            ("largest difference, float32 and float64", r"float32.*difference (\S+)\n.*float64.*difference (\S+)"),
        ),
    ),
    Benchmark(
        "encoder",
        "--rounds 1 --utterances 16 --layers 1 --fixed",
        "--rounds 2",
        (
            ("fp32 / transformers, corpus order", r"ratio voxmill, float32 / .*corpus order: ([\d.]+)"),
            ("fp32 / transformers, sorted", r"ratio voxmill, float32 / .*sorted: ([\d.]+)"),
            ("bf16 / transformers, corpus order", r"ratio voxmill, bfloat16 / .*corpus order: ([\d.]+)"),
            ("bf16 / transformers, sorted", r"ratio voxmill, bfloat16 / .*sorted: ([\d.]+)"),
            ("int8 / fp32", r"ratio voxmill, int8 / voxmill, float32: ([\d.]+)"),
            ("share of the matrix rate, 10 s", r"recording of 10 s .*: voxmill (\d+ %|\d+%)"),
            ("share of the matrix rate, 20 s", r"recording of 20 s .*: voxmill (\d+ %|\d+%)"),
            ("memory at 60 s / transformers", r"ratio (1/[\d.]+)"),
        ),
    ),
    Benchmark(
        "flow",
        "--device cpu --model pipeline/demo/digits-ctc --minutes 5",
        "--device cpu --model pipeline/demo/digits-ctc --minutes 20",
        (
            ("the demo's model on a CPU, times real time", r"x real time, all +(\S+)"),
            ("share of time the model waited", r"the model waited +(\S+)"),
        ),
    ),
    Benchmark(
        "real_size",
        "--layers 4 --seconds 20",
        "",
        (
            ("parameters, weights", r"parameters=(\S+) .* weights=(\d+ MB)"),
            ("peak of the model's worker", r"model worker: (.*) its weights, "),
        ),
    ),
    Benchmark(
        "speakers",
        "--channels none",
        "",
        (
            (
                "equal errors of 3 s of unheard speakers, alone, of a recording",
                r"alone +eer= *(\S+)[\s\S]*?within +eer= *(\S+)",
            ),
            ("the same, cosine of means and deviations", r"mean_std +eer= *(\S+)"),
        ),
    ),
    Benchmark(
        "windows",
        "--minutes 2",
        "--hours 3 --unwindowed 10",
        (
            ("WER and piecewise, 2 min, 10 s with 1 s, %", r"2 min +10 s +1 s +([\d.]+) +([\d.]+)"),
            ("the same, 3 h, %", r"3 h +10 s +1 s +([\d.]+) +([\d.]+)"),
            ("wrong at seams and elsewhere, 3 h, %", r"3 h +10 s +1 s +[\d.]+ +[\d.]+ +\d+ +\d+ +(\S+) +(\S+)"),
        ),
    ),
    Benchmark(
        "units",
        "--units 500",
        "--units 20000",
        (
            ("ms a unit", r"ms_per_unit=([\d.]+)"),
            ("first unit committed after, s", r"first_unit_s=([\d.]+)"),
            ("driver, MB", r"driver_MB=(\d+)"),
        ),
    ),
    Benchmark(
        "planning",
        "100000",
        "1000000 4000000",
        (("entries a second", r"planned in .*?, ([\d,]+) entries/s"), ("peak, MiB", r"peak memory ([\d,]+) MiB")),
    ),
    Benchmark(
        "resume",
        "--units 2000",
        "",
        (
            ("s before the work; unit reads", r"before the work: ([\d.]+) s, unit_reads=(\d+)"),
            ("s to count the table; unit reads", r"counting the table: ([\d.]+) s, unit_reads=(\d+)"),
        ),
    ),
    Benchmark(
        "opening",
        "--units 20000 --recordings 2",
        "",
        (
            ("s to open a table of many units", r"read_table_s=([\d.]+)"),
            ("s to open what is published of it", r"read_published_s=([\d.]+)"),
        ),
    ),
    Benchmark(
        "publishing",
        "500",
        "",
        (("ms a unit, peak MiB", r"([\d.]+) ms a unit.*peak_MiB=(\d+)"),),
    ),
    Benchmark(
        "isolation",
        "",
        "--minutes 60",
        (
            ("CPU time in a process apart / here: digits", r"ratio_digits_flac=([\d.]+)"),
            ("LibriSpeech, FLAC and WAV", r"ratio_librispeech_flac=([\d.]+)[\s\S]*ratio_librispeech_wav=([\d.]+)"),
        ),
    ),
    Benchmark(
        "memory",
        "--case short-1h",
        "",
        (
            ("1 h and 10 h of short recordings", r"short: (.*) within"),
            ("one of 4 h and of 24 h", r"long: (.*) within"),
        ),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the long forms")
    names = [each.name for each in BENCHMARKS]
    parser.add_argument("--only", nargs="+", choices=names, help="these; default: all, memory only with --full")
    options = parser.parse_args()
    chosen = options.only or [name for name in names if options.full or name != "memory"]
    print(header(), flush=True)
    rows, failed = [], []
    for benchmark in BENCHMARKS:
        if benchmark.name in chosen:
            begin = time.monotonic()
            output, code = run(benchmark, benchmark.full if options.full else benchmark.short)
            rows += [(benchmark.name, label, value) for label, value in figures(benchmark, output)]
            rows.append((benchmark.name, "took, s", f"{time.monotonic() - begin:.0f}"))
            failed += [f"{benchmark.name} ended with {code}"] * (code != 0)
    print(f"\n{table(rows)}")
    if failed:
        raise SystemExit("; ".join(failed))


def run(benchmark: Benchmark, arguments: str) -> tuple[str, int]:
    """Its output, which is shown while it comes, and its exit code."""
    command = [sys.executable, str(FOLDER / f"{benchmark.name}.py"), *arguments.split()]
    print(f"\n== {benchmark.name} {arguments}".rstrip(), flush=True)
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines), child.returncode


def figures(benchmark: Benchmark, output: str) -> list[tuple[str, str]]:
    """What its output says, of what there is to show; where several lines match, the first."""
    found = [(label, re.search(pattern, output)) for label, pattern in benchmark.figures]
    return [(label, "  ".join(match.groups())) for label, match in found if match]


def table(rows: list[tuple[str, str, str]]) -> str:
    """Benchmark, figure, value, in columns; each benchmark's name once."""
    width = max(len(label) for _, label, _ in rows)
    lines, before = [], ""
    for name, label, value in rows:
        lines.append(f"{'' if name == before else name:10}{label:<{width}}  {value}")
        before = name
    return "\n".join(lines)


if __name__ == "__main__":
    main()
