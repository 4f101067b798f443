import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.labels import Labels, from_fields, from_sidecars, to_json


def test_sidecars() -> None:
    assert from_sidecars(None, None) == Labels(None, None)
    assert from_sidecars("\ufeff four one\n".encode(), None) == Labels("four one", None)
    assert from_sidecars(b"one", b'{"text": "two", "speaker": "ann"}') == Labels(
        "one", '{"text": "two", "speaker": "ann"}'
    )
    assert from_sidecars(None, b'{"text": "two", "speaker": "ann"}') == Labels("two", '{"speaker": "ann"}')
    assert from_sidecars(None, b'{"text": "two"}') == Labels("two", None)
    assert from_sidecars(b"", b"[1, 2]") == Labels("", '{"value": [1, 2]}')
    assert from_sidecars(None, b'{"a": NaN}') == Labels(None, '{"a": null}')


@pytest.mark.parametrize(
    ("text", "metadata", "says"),
    [
        (b"\xff\xfe", None, "not UTF-8 .byte 0"),
        (None, b"{", "is not JSON"),
        (None, b"\xff", "not UTF-8"),
        (None, b"[" * 100_000, "nested more than 100 levels deep"),
    ],
)
def test_sidecars_that_are_none(text: bytes | None, metadata: bytes | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_sidecars(text, metadata)


def test_half_a_character_does_not_break_utf8() -> None:
    labels = from_sidecars(None, b'{"text": "a\\ud800b", "note": "\\ud800"}')
    assert labels.reference == "a?b"
    assert labels.metadata is not None
    labels.metadata.encode()
    assert json.loads(labels.metadata) == {"note": "\ud800"}


SIGNED = "https://h/a?X-Goog-Signature=geheim&a=1"


def test_credentials_in_what_comes_along_are_masked() -> None:
    fields = {
        "url": SIGNED,
        "of": [{"https://me:geheim@h/b": 1}, "c?access_token=geheim"],
        "year": 2026,
        "a": "b=c://d",
    }
    kept = {
        "url": "https://h/a?X-Goog-Signature=***&a=1", "of": [{"https://***@h/b": 1}, "c?access_token=***"],
        "year": 2026, "a": "b=c://d",
    }  # fmt: skip
    labels = from_sidecars(f"see {SIGNED}\n".encode(), json.dumps(fields).encode())
    assert labels.reference == "see https://h/a?X-Goog-Signature=***&a=1"
    assert labels.metadata is not None
    assert json.loads(labels.metadata) == kept
    assert from_sidecars(SIGNED.encode(), None).reference == "https://h/a?X-Goog-Signature=***&a=1"
    assert from_fields({"text": SIGNED}).reference == "https://h/a?X-Goog-Signature=***&a=1"
    assert from_fields({"text": "x%3Fsig%3Dgeheim"}).reference == "x%3Fsig%3D***"


def test_names_that_differ_in_credentials_alone_stay_two() -> None:
    fields = {"https://me:a@h": 1, "https://***@h": 2, "https://me:b@h": 3, "C#key=3": 4, "a": {"a;key=b": 5}}
    metadata = from_fields(fields).metadata
    assert metadata is not None
    assert json.loads(metadata) == {
        "https://***@h*": 1, "https://***@h": 2, "https://***@h**": 3, "C#key=3": 4, "a": {"a;key=b": 5},
    }  # fmt: skip


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=5
        ),
    )
)
def test_metadata_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    assert json.loads(to_json(fields)) == fields
    assert from_fields(fields, "reference").reference == "reference"
