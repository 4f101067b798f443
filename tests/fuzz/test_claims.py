"""Files that claim days of audio or terabytes of bytes: nothing is made of the size that is claimed."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from pipeline import audio, documents, sources
from pipeline.corpus import Unit
from pipeline.errors import RecordingError, UserError
from pipeline.isolation.limits import limit_memory
from pipeline.models import checkpoint
from pipeline.plan.generations import open_generation
from pipeline.plan.spans import cut
from pipeline.sources import Problem, jsonl
from pipeline.storage import lines, parquet
from pipeline.table.publish import manifest
from pipeline.table.publish.publishing import publish
from pipeline.table.totals import Count, read_known, write_known
from pipeline.table.unit_file import read_unit
from pipeline.text.tokenizer import Tokenizer
from tests.fuzz.doors.pages import summed
from tests.fuzz.doors.tables import made

LITTLE = 96 << 20
"""Bytes that decoding a second may take; what is claimed takes gigabytes at least."""
_U32 = 0xFFFFFFF0


def second(format: str, subtype: str | None = None, *, samples: int = 16_000) -> bytearray:
    file = io.BytesIO()
    sf.write(file, np.random.default_rng(1).normal(0, 0.1, samples), 16_000, format=format, subtype=subtype)
    return bytearray(file.getvalue())


def put(data: bytearray, form: str, chunk: bytes, offset: int, *values: int) -> bytearray:
    struct.pack_into(form, data, data.index(chunk) + offset, *values)
    return data


def vbri() -> bytearray:
    """An MP3 whose tag, of another kind, counts bytes and frames."""
    data = second("MP3")
    put(data, ">I", b"Xing", 0, 0)
    data[36:66] = b"VBRI" + struct.pack(">HHHIIHHHHI", 1, 0, 75, _U32, _U32, 0xFFFF, 1, 4, 1, 0)
    return data


def endless_flac() -> bytearray:
    """All of the 36 bits that count its samples: 49 days."""
    data = second("FLAC")
    data[18:26] = (int.from_bytes(data[18:26], "big") | 2**36 - 1).to_bytes(8, "big")
    return data


def endless_opus() -> bytearray:
    """A last page, behind another with audio, that ends after centuries."""
    data = second("OGG", "OPUS", samples=16_800)
    struct.pack_into("<q", data, data.rindex(b"OggS") + 6, 2**50)
    return bytearray(summed(data))


CLAIMS: dict[str, Callable[[], bytearray]] = {
    "a.wav": lambda: put(second("WAV"), "<I", b"data", 4, _U32),
    "float.wav": lambda: put(put(second("WAV", "FLOAT"), "<I", b"data", 4, _U32), "<I", b"fact", 8, _U32),
    "adpcm.wav": lambda: put(put(second("WAV", "IMA_ADPCM"), "<I", b"data", 4, _U32), "<I", b"fact", 8, _U32),
    "long.rf64": lambda: put(second("RF64"), "<QQQ", b"ds64", 8, 2**62, 2**62, 2**61),
    "a.w64": lambda: put(second("W64"), "<Q", b"data", 16, 2**62),
    "a.aiff": lambda: put(put(second("AIFF"), ">I", b"COMM", 10, _U32), ">I", b"SSND", 4, _U32),
    "ima.aifc": lambda: put(second("AIFF", "IMA_ADPCM"), ">I", b"COMM", 10, 0x7FFFFFF0),
    "xing.mp3": lambda: put(second("MP3"), ">II", b"Xing", 8, _U32, _U32),
    "vbri.mp3": vbri,
    "long.flac": endless_flac,
    "long.opus": endless_opus,
}


@pytest.mark.parametrize("name", CLAIMS)
def test_what_is_there_is_heard_whatever_is_claimed(name: str, tmp_path: Path) -> None:
    data = bytes(CLAIMS[name]())
    (tmp_path / name).write_bytes(data)
    (row,) = [row for group in sources.entries([str(tmp_path)], corpus="c") for each in group for row in cut(each)]
    assert (row.spans, row.seconds < 5) == (1, True)
    audio.decode(bytes(second("WAV")))
    limit_memory(LITTLE)
    try:
        found = audio.decode(data)
    finally:
        limit_memory(None)
    # A tag that lies may cost an MP3 some of its frames.
    assert 0.6 < found.duration < 1.12


CHUNKS = {
    "list.wav": (b"data", b"LIST" + struct.pack("<I", _U32)),
    "format.wav": (b"fmt ", b"fmt " + struct.pack("<I", 0x7FFFFFF0)),
    "marks.aiff": (b"SSND", b"MARK" + struct.pack(">IH", 0x7FFFFFFF, 0xFFFF)),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_a_chunk_of_gigabytes_before_the_audio_is_an_error_of_decoding(name: str) -> None:
    chunk, before = CHUNKS[name]
    data = second("AIFF" if name.endswith("aiff") else "WAV")
    data[data.index(chunk) : data.index(chunk)] = before
    limit_memory(LITTLE)
    try:
        with pytest.raises(RecordingError, match="not an audio file that libsndfile knows") as raised:
            audio.decode(bytes(data))
    finally:
        limit_memory(None)
    assert (raised.value.error.stage, raised.value.error.type) == ("decode", "decode")


def sparse(path: Path, size: int, head: bytes = b"") -> Path:
    """A file of so many bytes that takes none."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
    return path


def test_a_manifest_of_one_endless_line_is_read_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 1 << 20)
    monkeypatch.setattr(jsonl, "LARGEST", 2**50)
    path = sparse(tmp_path / "m.jsonl", 2**40, b'{"path": "gone.wav"}\n{"path": "')
    with pytest.raises(UserError, match=r"m.jsonl, line 2: is longer than 1 MB\. One line is about one recording"):
        list(sources.entries([str(path)], corpus="c"))
    with pytest.raises(UserError, match=r"m.jsonl, line 2: is longer"):
        list(lines.numbered(str(path)))


def test_a_manifest_of_terabytes_is_refused_unread(tmp_path: Path) -> None:
    path = sparse(tmp_path / "m.jsonl", 2**40)
    with pytest.raises(UserError, match=r"1,099,511,627,776 bytes, of which at most .* split it into several$"):
        list(sources.entries([str(path)], corpus="c"))


def test_a_sidecar_of_terabytes_costs_its_recording_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(second("WAV"))
    sparse(tmp_path / "a.txt", 2**40)
    found = list(sources.entries([str(tmp_path / "a.wav")], corpus="c"))
    (problem,) = [each for each in found if isinstance(each, Problem)]
    assert "a.txt is no label of one recording (1,099,511,627,776 bytes, of which at most 1,048,576" in problem.message
    assert len(found) == 2


def test_settings_of_terabytes_are_refused_unread(tmp_path: Path) -> None:
    sparse(tmp_path / "vocab.json", 2**40)
    sparse(tmp_path / "config.json", 2**40)
    with pytest.raises(UserError, match=r"vocab.json: must be a JSON file that can be read: larger than 16 MB"):
        Tokenizer.load(tmp_path)
    with pytest.raises(UserError, match=r"w: config.json is not JSON \(larger than 16 MB\); download it again"):
        checkpoint.read_config(tmp_path, where="w")
    sparse(tmp_path / "exact.json", documents.LARGEST, b" " * 10)
    with pytest.raises(ValueError, match="^Expecting value"):
        documents.load(tmp_path / "exact.json")


def member(name: str, size: int, records: dict[str, str] | None = None) -> bytes:
    """A tar's header that says so."""
    info = tarfile.TarInfo(name)
    info.size, info.pax_headers = size, records or {}
    return info.tobuf(tarfile.PAX_FORMAT if records else tarfile.GNU_FORMAT)


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
@pytest.mark.parametrize(
    ("header", "says"),
    [
        (member("b.wav", 8 * 2**60 - 1), "a size beyond any tar"),
        (member("b.wav", 9, {"size": str(8 * 2**60)}), "a size beyond any tar"),
        (member("b.wav", 9, {"size": "9" * 400}), "a size beyond any tar"),
        (member("b.wav", 2**49), "without an end mark"),
    ],
)
def test_a_member_of_exbibytes_ends_the_tar_there(header: bytes, says: str, ending: str, tmp_path: Path) -> None:
    whole = second("WAV")
    data = member("a.wav", len(whole)) + bytes(whole) + bytes(-len(whole) % 512) + header + bytes(1024)
    path = tmp_path / f"x.{ending}"
    path.write_bytes(gzip.compress(data) if ending == "tar.gz" else data)
    found = list(sources.entries([str(path)], corpus="c"))
    rows = [each for group in found if isinstance(group, tuple) for each in group]
    (problem,) = [each for each in found if isinstance(each, Problem)]
    assert rows[0].key == "a"
    assert says in problem.message or "ends at byte" in problem.message
    encoded = sources.read(Unit("u", tuple(rows)))
    assert len(encoded.payload) < len(data)


@pytest.mark.parametrize("records", [{"GNU.sparse.major": "1", "GNU.sparse.realsize": str(2**62)}])
def test_a_sparse_member_is_never_filled(records: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(member("b.wav", 512, records) + bytes(512) + bytes(1024))
    with pytest.raises(UserError, match="a link or special member is never followed"):
        list(sources.entries([str(tmp_path / "x.tar")], corpus="c"))


def test_rows_that_stand_for_terabytes_are_told_by_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = made(tmp_path)
    publish(table.output, table.task)
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, np.int32)), pa.array(["x" * 2**20]))
    pq.write_table(
        pa.table({"id": ids}), table.file(0), compression="zstd", store_schema=False, write_page_checksum=True
    )
    assert table.file(0).stat().st_size < 3_000
    with pytest.raises(UserError) as unit:
        read_unit(str(table.file(0)))
    assert str(unit.value) == (
        f"{table.file(0)}: cannot be read as Parquet (its rows stand for more than 2 GB). "
        "Delete it; the next run does that unit again."
    )
    monkeypatch.setattr(parquet, "MOST", 20)
    with pytest.raises(UserError, match=r"000001.parquet: the plan file is damaged \(its rows stand for more than"):
        open_generation(table.output, 1).row_group(0)
    with pytest.raises(UserError, match="the manifest of what is published is damaged .its rows stand for more than"):
        manifest.newest(table.output, table.task)
    right = {"0" * 32: Count(*range(100, 104))}
    write_known(table.output, table.task, right)
    assert read_known(table.output, table.task) == {}
    monkeypatch.undo()
    assert read_known(table.output, table.task) == right
