"""A file that ends or keeps the process that decodes it costs itself, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from pipeline.corpus import Recording
from pipeline.errors import ErrorRow, StorageFault
from pipeline.featurising import ON_DEVICE, AudioFile, here
from pipeline.isolation import Isolated, Limits, process
from tests.jobs.corpora import ROOT, encoded
from tests.units import recordings_of

POISON = Path(__file__).parent / "poison"
LIMITS = Limits(seconds=60.0, num_bytes=2_000_000_000)


@pytest.fixture(autouse=True)
def poisonous(monkeypatch):
    """Processes that decode know the hostile files of these tests; this one does not."""
    monkeypatch.syspath_prepend(str(POISON))
    monkeypatch.setattr(process, "PAUSE", 0.0)


def tone(seed: int, seconds: float = 1.0) -> bytes:
    return encoded(np.random.default_rng(seed).standard_normal(int(16000 * seconds)).astype(np.float32) / 10)


def payload_of(*blobs: bytes, crops=((0.0, None),)) -> tuple[bytes, list[AudioFile]]:
    """A unit's bytes, and its files."""
    files, start = [], 0
    for number, blob in enumerate(blobs):
        first = Recording(
            id=f"c/{number}", source=f"file:///c/{number}", key=str(number), version="1", recording=f"c/{number}",
            format="flac", seconds=1.0, seconds_from="header", size=len(blob), reference="not sent",
        )  # fmt: skip
        files.append(AudioFile(first, crops, (start, len(blob)), 0, "float64"))
        start += len(blob)
    return b"".join(blobs), files


def poison(kind: str) -> bytes:
    return f"POISON:{kind}".encode().ljust(200, b"\0")


def assert_same(results, wanted):
    assert len(results) == len(wanted)
    for one, other in zip(results, wanted, strict=True):
        if isinstance(other, ErrorRow):
            assert one == other
        else:
            np.testing.assert_array_equal(one[0], other[0])
            assert (type(one), one[0].dtype) == (type(other), other[0].dtype)
            assert one.facts == other.facts


def test_the_results_are_those_of_this_process_to_the_bit():
    payload, files = payload_of(tone(1), b"no audio", tone(2), b"", tone(3, 0.001))
    several = replace(files[0], crops=((0.0, 0.5), (0.25, None), (5.0, 6.0)))
    with Isolated(LIMITS) as decoder:
        for given in (files, [several, files[2]], [], files[:1]):
            for one, other in zip(decoder(payload, given), here(payload, given), strict=True):
                assert_same(one, other)
        assert 20_000_000 < decoder.peak_bytes < 500_000_000
    assert decoder.peak_bytes == 0


def test_samples_come_as_they_are_in_16_bits_or_not():
    steady = encoded(np.full(8000, 0.1, np.float32), rate=8000)
    payload, files = payload_of(tone(1), b"no audio", steady, tone(3, 0.001))
    files = [replace(each, crops=((0.0, 0.5), (0.25, None), (5.0, 6.0)), features=ON_DEVICE) for each in files]
    with Isolated(LIMITS) as decoder:
        found = list(decoder(payload, files))
    assert [each[0].samples.dtype for each in (found[0], found[2])] == [np.int16, np.float32]
    for one, other in zip(found, here(payload, files), strict=True):
        assert_same(one, other)


@pytest.mark.slow
def test_very_many_crops_of_one_file_are_no_death():
    payload, files = payload_of(tone(1), tone(2))
    crop = (0.5, 0.5)
    many = [replace(files[0], crops=(crop,) * 120_000), files[1]]
    with Isolated(LIMITS) as decoder:
        first, second = decoder(payload, many)
    assert len(first) == 120_000
    assert {(each.type, each.message) for each in first} == {("empty", "no sample lies in 0.500 to 0.500 s")}
    assert_same(second, next(here(payload, files[1:])))


def test_spans_whose_labels_are_longer_than_what_fits_between_two_processes(tmp_path):
    (tmp_path / "long.flac").write_bytes(tone(1, 3.0))
    (whole,) = recordings_of(tmp_path / "long.flac")
    whole = replace(whole, reference="a" * 1_000_000, metadata="b" * 1_000_000)
    spans = [replace(whole, span=n, spans=3, start=float(n), end=n + 1.0) for n in range(3)]
    files = [AudioFile(each, ((each.start, each.end),), None, 1, "float64") for each in spans]
    with Isolated(replace(LIMITS, seconds=20.0)) as decoder:
        for one, other in zip(decoder(b"", files), here(b"", files), strict=True):
            assert_same(one, other)


@pytest.mark.parametrize(
    ("kind", "type", "told"),
    [
        ("crash", "crashed", "SIGSEGV"),
        ("leave", "crashed", "exit code 3"),
        ("kill", "crashed", "was killed (SIGKILL), probably for want of memory, 2 times; fewer --feature-actors"),
        ("hold", "crashed", "SIGABRT"),
        ("hoard", "memory", "takes more than 2 GB of memory"),
    ],
)
def test_a_hostile_file_ends_as_errors_of_its_own_and_its_neighbours_are_heard(kind, type, told):
    payload, files = payload_of(tone(1), poison(kind), tone(2), tone(3))
    files[1] = replace(files[1], crops=((0.0, 1.0), (1.0, 2.0)))
    with Isolated(LIMITS) as decoder:
        results = list(decoder(payload, files))
    assert [(each.stage, each.type) for each in results[1]] == [("decode", type)] * 2
    assert told in results[1][0].message
    for number in (0, 2, 3):
        assert_same(results[number], next(here(payload, files[number : number + 1])))


@pytest.mark.parametrize(("kind", "pauses"), [("kill", [5.0]), ("crash", [0])])
def test_a_file_whose_process_was_killed_is_tried_again_after_a_pause(monkeypatch, kind, pauses):
    monkeypatch.setattr(process, "PAUSE", 5.0)
    waited: list[float] = []
    monkeypatch.setattr(process, "time", SimpleNamespace(sleep=waited.append))
    payload, files = payload_of(poison(kind))
    with Isolated(LIMITS) as decoder:
        list(decoder(payload, files))
    assert waited == pauses


@pytest.mark.slow
def test_whoever_listens_slowly_blames_the_same_file():
    """Answers that came before a death count, however late they are heard."""
    payload, files = payload_of(tone(1), tone(2), poison("crash"), tone(3), poison("leave"), tone(4))
    with Isolated(LIMITS) as decoder:
        results = []
        for each in decoder(payload, files):
            time.sleep(0.7)
            results.append(each)
    blamed = [isinstance(each[0], ErrorRow) for each in results]
    assert blamed == [False, False, True, False, True, False]


def test_a_file_that_is_never_decoded_ends_when_its_time_is_over():
    payload, files = payload_of(tone(1), poison("loop"), tone(2))
    with Isolated(replace(LIMITS, seconds=2.0)) as decoder:
        began = time.monotonic()
        results = list(decoder(payload, files))
    assert results[1] == [
        ErrorRow("decode", "timeout", "not decoded within 2.0 s; --recording-timeout gives it longer")
    ]
    assert time.monotonic() - began < 30
    assert not isinstance(results[0][0], ErrorRow)
    assert not isinstance(results[2][0], ErrorRow)


def test_a_process_that_somebody_kills_once_costs_no_recording(tmp_path):
    payload, files = payload_of(tone(1), poison(f"once:{tmp_path / 'mark'}"), tone(2))
    with Isolated(LIMITS) as decoder:
        results = list(decoder(payload, files))
        assert results[1][0].type == "decode", "the second process found what it is: no audio"
        first, second = decoder(payload, [files[0], files[2]]), here(payload, [files[0], files[2]])
        assert_same(next(first), next(second))
        # Between two answers, when the next file may be at work or done already.
        os.kill(decoder._child.process.pid, signal.SIGKILL)
        assert_same(next(first), next(second))
    assert (tmp_path / "mark").exists()


def test_who_stops_listening_gets_no_old_answers_later():
    payload, files = payload_of(*(tone(n) for n in range(4)))
    with Isolated(LIMITS) as decoder:
        started = decoder(payload, files)
        next(started)
        started.close()
        other, more = payload_of(tone(9))
        assert_same(next(decoder(other, more)), next(here(other, more)))


def test_a_file_that_cannot_be_read_now_is_no_error_row(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    payload, files = payload_of(tone(1))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b").touch()
    gone = replace(files[0], place=None, first=replace(files[0].first, source=f"file://{folder}/a", spans=2))
    with Isolated(LIMITS) as decoder:
        (missing,) = decoder(payload, [gone])
        assert missing[0].type == "missing"
        closed = replace(gone, first=replace(gone.first, source="s3://bucket/a"))
        with pytest.raises(StorageFault, match="s3://bucket/a"):
            list(decoder(payload, [closed]))
        assert_same(next(decoder(payload, files)), next(here(payload, files)))


def test_a_process_that_cannot_start_blames_no_recording_and_is_started_again(monkeypatch):
    payload, files = payload_of(tone(1))
    with monkeypatch.context() as patch, Isolated(LIMITS) as decoder:
        decoder._end()
        patch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(StorageFault, match=r"does not start \(exit code 1\)"):
            list(decoder(payload, files))
        patch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(StorageFault, match="does not start"):
            list(decoder(payload, files))
        patch.undo()
        patch.syspath_prepend(str(POISON))
        assert_same(next(decoder(payload, files)), next(here(payload, files)))


def test_storage_that_keeps_who_reads_waiting_is_no_fault_of_the_recording(tmp_path):
    """A pipe that nobody writes to stands for a network drive that does not answer."""
    (tmp_path / "slow.flac").write_bytes(tone(1))
    (recording,) = recordings_of(tmp_path / "slow.flac")
    stuck = AudioFile(replace(recording, spans=2, key="POISON:wait"), ((0.0, 1.0),), None, 0, "float64")
    with Isolated(replace(LIMITS, seconds=2.0)) as decoder:
        (tmp_path / "slow.flac").write_bytes(b"POISON:sleep".ljust(len(tone(1)), b"\0"))
        os.utime(tmp_path / "slow.flac", ns=(int(recording.version.partition("-")[2]),) * 2)
        with pytest.raises(StorageFault, match=r"slow.flac: could not be read within 2.0 s"):
            list(decoder(b"", [stuck]))


@pytest.mark.parametrize(
    "closed", ["<&- >&- 2>&-", *(pytest.param(each, marks=pytest.mark.slow) for each in ("<&-", ">&-", "2>&-"))]
)
def test_closed_standard_streams_blame_no_recording(closed, tmp_path):
    script = (
        "import sys\n"
        "from pipeline.isolation import Isolated\n"
        "from tests.isolation.test_process import LIMITS, payload_of, tone\n"
        "payload, files = payload_of(tone(1), tone(2))\n"
        "with Isolated(LIMITS) as decoder: results = [each[0] for each in decoder(payload, files)]\n"
        "open(sys.argv[1], 'w').write(' '.join(type(each).__name__ for each in results))\n"
    )
    (tmp_path / "script.py").write_text(script)
    command = f"exec {sys.executable} {tmp_path / 'script.py'} {tmp_path / 'said'} {closed}"
    subprocess.run(["bash", "-c", command], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (tmp_path / "said").read_text() == "Featurised Featurised"


@pytest.mark.slow
def test_nothing_is_left_of_a_process_whose_asker_was_killed():
    """Idle it sees that nobody asks; at work its time on the CPU ends it."""
    script = (
        "import sys, time\n"
        "from pipeline.isolation import Isolated, Limits\n"
        "from tests.isolation.test_process import payload_of, poison, tone\n"
        "decoder = Isolated(Limits(2.0, 2_000_000_000))\n"
        "payload, files = payload_of(tone(1), poison('loop'))\n"
        "list(decoder(payload, files[:1]))\n"
        "print(decoder._child.process.pid, flush=True)\n"
        "if sys.argv[1] == 'busy': list(decoder(payload, files))\n"
        "time.sleep(100)\n"
    )
    for what in ("idle", "busy"):
        command = [sys.executable, "-c", script, what]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as asker:
            child = psutil.Process(int(asker.stdout.readline()))
            time.sleep(0.5)
            asker.kill()
        gone, left = psutil.wait_procs([child], timeout=60)
        assert (gone, left) == ([child], [])
