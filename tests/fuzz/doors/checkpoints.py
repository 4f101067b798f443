"""Checkpoint folders: configuration, vocabulary, feature settings, the headers and the index of weights."""

from __future__ import annotations

import functools
import json
import shutil
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import save_file

from pipeline.audio.extractor import FeatureExtractor
from pipeline.checkpoint import choose
from pipeline.errors import UserError
from pipeline.models import checkpoint, weights
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.model import make
from pipeline.tasks.labels import Labels
from pipeline.text import Tokenizer
from tests.fuzz import mutate
from tests.fuzz.documents import changed, documented
from tests.fuzz.door import Door, Opened, Wrong, refused

DEMO = Path(__file__).resolve().parents[3] / "pipeline/demo"
HEADS = ("digits-ctc", "keyword", "speech-frames", "speaker-xvector")
_NAMES = ("Wav2Vec2BertModel", ["Wav2Vec2BertForCTC"], ["Wav2Vec2BertForXVector"], "rotary", "relative", "gelu",
          "wav2vec2-bert",
          3, 7, 16, 64, 160, 10**6, 10**9, {"0": "a"}, {"0": "a", "1": "b"}, [5, 3, 3], [0], [1e9, 1, 1, 1,
          1])  # fmt: skip


def open_config(folder: Path) -> Opened:
    seeds = [_short((DEMO / head / "config.json").read_bytes()) for head in HEADS]
    where = folder / "model"
    where.mkdir()

    def check(data: bytes) -> bool:
        if zlib.crc32(data) % 32 == 0:
            (where / "config.json").unlink(missing_ok=True)
            _without(lambda: checkpoint.read_config(where, where=str(where)), "no config.json")
        (where / "config.json").write_bytes(data)
        try:
            document = checkpoint.read_config(where, where=str(where))
        except UserError as error:
            refused(error, "config.json")
            return False
        try:
            # A task may give a checkpoint its own head.
            config = Config.read(document, where=str(where), head="classes" if len(data) % 8 == 1 else None)
            if len(data) % 4 == 0:
                with torch.device("meta"):
                    make(config, kernel="plain")
            pa.array(config.labels, pa.string())
            pa.array(Labels.load(where).names, pa.string())
        except UserError as error:
            refused(error, "config.json")
        return True

    return Opened(seeds, check, _configured)


def _without(read: Callable[[], object], says: str) -> None:
    """Check what a user reads of a file that is not there: beside an input, as no input is that."""
    try:
        read()
    except UserError as error:
        refused(error, says)
        return
    raise Wrong(f"no refusal: {says}")


_TOGETHER = (
    {"hidden_size": 65}, {"num_attention_heads": 7}, {"conv_depthwise_kernel_size": 4},
    {"hidden_size": 21, "num_attention_heads": 7, "position_embeddings_type": "relative"},
    {"hidden_size": 21, "num_attention_heads": 7, "position_embeddings_type": "rotary"},
    {"use_intermediate_ffn_before_adapter": True}, {"add_adapter": True, "output_hidden_size": 67},
    {"add_adapter": True}, {"num_labels": 3}, {"tdnn_dim": [8, 8, 8], "tdnn_kernel": [1]},
    {"quantization_config": {"a": 1}},
    {"add_adapter": True, "adapter_act": "none"}, {"hidden_dropout": 2.0}, {"hidden_size": 10**8},
    {"id2label": {"5": "a"}}, {"vocab_size": None}, {"model_type": "wav2vec2"}, {"hidden_act": "?"},
    {"ctc_loss_reduction": "?"},
)  # fmt: skip
"""Fields that are each as they may be, and not together, or that are told by name."""
_named = documented(_NAMES)


def _configured(dice: Random, seeds: Sequence[bytes]) -> bytes:
    if dice.random() < 0.75:
        return _named(dice, seeds)
    return json.dumps(json.loads(dice.choice(seeds)) | dice.choice(_TOGETHER)).encode()


def _short(data: bytes) -> bytes:
    """A configuration with few of its labels: thousands of them take the time, and say the same."""
    document = json.loads(data)
    for name, value in document.items():
        if isinstance(value, dict) and len(value) > 30:
            document[name] = dict(list(value.items())[:30])
    return json.dumps(document).encode()


def open_vocabulary(folder: Path) -> Opened:
    """`vocab.json` and what stands beside it; the input is an object of file names and contents."""
    real = DEMO / "digits-ctc"
    names = ("vocab.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
    files = {name: json.loads((real / name).read_text()) for name in names if (real / name).exists()}
    nested = {**files, "vocab.json": {"eng": files["vocab.json"], "deu": {"<pad>": 0, "|": 1}}}
    nested["tokenizer_config.json"] = {**files["tokenizer_config.json"], "target_lang": "eng"}
    added = {
        **files,
        "added_tokens.json": {"<x>": len(files["vocab.json"])},
        "special_tokens_map.json": {"pad_token": "<pad>"},
    }
    decoder = {"added_tokens_decoder": {"0": {"content": "<pad>"}, "99": {"content": "<y>"}}}
    added["tokenizer_config.json"] = {**files["tokenizer_config.json"], **decoder}

    def check(data: bytes) -> bool:
        return _files(folder, data, names, lambda where: _spelled(Tokenizer.load(where)))

    return Opened(
        [json.dumps(each).encode() for each in (files, nested, added)], check, _bundled(("eng", "<pad>", "|", 13))
    )


def _spelled(tokenizer: Tokenizer) -> None:
    """A table holds what is heard, whatever is."""
    pa.array(map(tokenizer.spell, range(len(tokenizer.tokens))), pa.string())
    pa.array([tokenizer.separator], pa.string())


def open_features(folder: Path) -> Opened:
    """`preprocessor_config.json`, `processor_config.json`."""
    names = ("preprocessor_config.json", "processor_config.json")
    first = json.loads((DEMO / "keyword" / names[0]).read_text())
    second = json.loads((DEMO / "digits-ctc" / names[1]).read_text())

    def check(data: bytes) -> bool:
        return _files(folder, data, names, FeatureExtractor.load)

    return Opened(
        [json.dumps({names[0]: first}).encode(), json.dumps({names[1]: second}).encode()], check, _bundled((2, 80))
    )


def _bundled(values: Sequence[Any]) -> mutate.Mutate:
    return functools.partial(_bundle, documented(values), values)


def _bundle(damage: mutate.Mutate, values: Sequence[Any], dice: Random, seeds: Sequence[bytes]) -> bytes:
    """Files as one object: one of them changed as a document, now and then as bytes."""
    files = json.loads(dice.choice(seeds))
    name = dice.choice(list(files))
    if dice.random() < 0.3:
        data = damage(dice, [json.dumps(files[name]).encode()])
        files[name] = {"bytes": data.decode("latin-1")}
    else:
        for _ in range(dice.choice((1, 1, 2))):
            files[name] = (
                changed(dice, files[name], values or (None,)) if dice.random() < 0.4 else _strange(dice, files[name])
            )
    return json.dumps(files).encode()


def _strange(dice: Random, document: Any) -> Any:
    from tests.fuzz.documents import VALUES

    return changed(dice, document, VALUES)


def _files(folder: Path, data: bytes, names: Sequence[str], load: Callable[[Path], object]) -> bool:
    contents, whole = _contents(data, names)
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    try:
        load(folder)
    except UserError as error:
        refused(error, *names, str(folder))
        return whole
    return True


def _contents(data: bytes, names: Sequence[str]) -> tuple[dict[str, bytes], bool]:
    """Files of these names, and whether all are documents; bytes that are no object of files are the first of them."""
    try:
        files = json.loads(data)
        found = {name: files[name] for name in names if name in files}
        return {name: _content(file) for name, file in found.items()}, not any(map(_raw, found.values()))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {names[0]: data}, False


def _content(file: Any) -> bytes:
    return file["bytes"].encode("latin-1") if _raw(file) else json.dumps(file).encode("utf-8", "surrogatepass")


def _raw(file: Any) -> bool:
    return isinstance(file, dict) and list(file) == ["bytes"]


def open_weights(folder: Path) -> Opened:
    """The header of a safetensors file, and the tensors behind it."""
    tensors = {
        "wav2vec2_bert.a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.float16),
        "c": torch.zeros(2, 2, dtype=torch.int64), "d.e": torch.ones(3, dtype=torch.bfloat16),
    }  # fmt: skip
    others = (
        {name: tensor for name, tensor in tensors.items() if name != "d.e"},
        {name: tensor for name, tensor in tensors.items() if name != "b"},
        tensors | {"b": torch.ones(2, 2)},
        tensors | {"b": torch.ones(4, dtype=torch.int16)},
    )
    seeds = []
    for each in (tensors, *others):
        save_file(each, folder / "seed", metadata={"format": "pt"})
        seeds.append((folder / "seed").read_bytes())
    path = folder / "model.safetensors"

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            names = weights.names(folder, where=str(folder))
            for name in sorted(names):
                weights.read(folder, name, where=str(folder))
            _fill(folder)
        except UserError as error:
            refused(error, "model.safetensors", str(folder))
            return _is_header(data)
        return True

    return Opened(seeds, check, _weights)


def _fill(folder: Path) -> None:
    """Give a model the weights, as a job does, two of which may be missing."""
    stored = {"weight": weights.Stored("wav2vec2_bert.a", (2, 3)), "bias": weights.Stored("b", (4,)),
              "late": weights.Stored("d.e", (3,))}  # fmt: skip
    with torch.device("meta"):
        model = torch.nn.ParameterDict({"weight": torch.empty(3, 2), "bias": torch.empty(4), "late": torch.empty(3)})
    weights.fill(
        model, folder, where=str(folder), stored=stored, optional=lambda name: name in ("c", "d.e"), fresh={},
        dtype=torch.float32, device=torch.device("cpu"),
    )  # fmt: skip
    if any(each.is_meta or each.dtype != torch.float32 for each in model.parameters()):
        raise Wrong("a parameter without a value")


def _is_header(data: bytes) -> bool:
    """Whether the header is JSON, whatever it says."""
    try:
        return isinstance(json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]]), dict)
    except (ValueError, struct.error, RecursionError):
        return False


_OFFSETS = ([0, 2**63], [2**63, 2**64 - 1], [8, 0], [0, 4], [10**15, 10**15 + 24], "F8_E4M3", "F64", "BOOL", "U16",
            "F4", [2**33, 2**33],
            [0, 5], [6], [-1, 2], "I8", "C64", "F8_E8M0", [0, 24])  # fmt: skip


def _weights(dice: Random, seeds: Sequence[bytes]) -> bytes:
    if dice.random() < 0.15:
        return mutate.bent(dice, seeds)
    data = dice.choice(seeds)
    length = struct.unpack("<Q", data[:8])[0]
    document = json.loads(data[8 : 8 + length])
    for _ in range(dice.choice((1, 1, 2))):
        document = changed(dice, document, _OFFSETS) if dice.random() < 0.7 else _strange(dice, document)
    header = json.dumps(document).encode("utf-8", "surrogatepass")
    size = len(header)
    if dice.random() < 0.1:
        size = dice.choice((0, 1, size - 1, size + 1, 2**32, 2**63, 100_000_001, 99_999_999))
    body = data[8 + length :]
    return struct.pack("<Q", size) + header + (body if dice.random() < 0.9 else body[: dice.randrange(len(body) + 1)])


def open_index(folder: Path) -> Opened:
    """`model.safetensors.index.json`, and all of a checkpoint as a job looks at it."""
    for name in ("config.json", "vocab.json", "tokenizer_config.json", "processor_config.json"):
        shutil.copy(DEMO / "digits-ctc" / name, folder / name)
    shutil.copy(DEMO / "digits-ctc/model.safetensors", folder / "one.safetensors")
    names = weights._places([folder / "one.safetensors"], where="")
    few = dict.fromkeys(list(names)[:20], "one.safetensors")
    seeds = [json.dumps({"metadata": {"total_size": 9}, "weight_map": few}).encode()]
    index, pickle = folder / "model.safetensors.index.json", folder / "pytorch_model.bin"

    def absent() -> None:
        index.unlink(missing_ok=True)
        _without(lambda: checkpoint.weight_files(folder, where=str(folder)), "no model.safetensors and no")
        pickle.touch()
        _without(lambda: checkpoint.weight_files(folder, where=str(folder)), f"{pickle.name} is pickled")
        pickle.unlink()

    def check(data: bytes) -> bool:
        if zlib.crc32(data) % 32 == 0:
            absent()
        index.write_bytes(data)
        try:
            found = checkpoint.weight_files(folder, where=str(folder))
            if any(file.parent != folder for file in found):
                raise Wrong(f"weights from elsewhere: {found}")
            weights.names(folder, where=str(folder))
            if len(data) % 32 == 0:
                choose(str(folder), "transcribe")
        except UserError as error:
            refused(error, "index.json", "safetensors", str(folder))
            return "is not JSON" not in str(error) and "one JSON object" not in str(error)
        return True

    return Opened(
        seeds, check, documented(("one.safetensors", "../one.safetensors", "/etc/passwd", "two.safetensors", ".", ".."))
    )


DOORS = (
    Door("config", open_config, memory=512 << 20),
    Door("vocabulary", open_vocabulary),
    Door("feature-settings", open_features),
    Door("safetensors", open_weights),
    Door("weights-index", open_index, memory=512 << 20),
)
