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
