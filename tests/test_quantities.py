"""Sizes, times and shares as people write them."""

import pytest

from pipeline.quantities import (
    counted,
    parse_bytes,
    parse_count,
    parse_list,
    parse_seconds,
    parse_share,
    parse_whole,
    show_seconds,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30s", 30),
        ("5min", 300),
        ("5m", 300),
        ("1.5h", 5400),
        ("200ms", 0.2),
        (" 2 S ", 2),
        (7, 7),
        (1e-05, 1e-05),
    ],
)
def test_times_take_units(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "size"), [("1000", 1000), ("256MB", 256_000_000), ("1GiB", 2**30), ("1.5kb", 1500)])
def test_sizes_take_units(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), ("100%", 1.0)])
def test_shares_take_per_cent(text, share):
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_seconds, "30MB", "unit of time; write it as 30s"),
        (parse_seconds, "soon", "not a number"),
        (parse_bytes, "3s", "unit of size; write it as 256MB"),
        (parse_share, "5s", "no share; write it as 0.05 or 5%"),
        (parse_count, "2GB", "plain number; write it as 1 or 0.5"),
        (parse_whole, "1.5", "'1.5' is no whole number from 0 up; write it as 4"),
        (parse_whole, "many", "'many' is no whole number"),
        (parse_bytes, "1e999", "not a number"),
        (parse_seconds, "-3s", "not a number"),
        (parse_list, None, "None is no list of texts"),
        (parse_list, 3, "3 is no list of texts"),
        (parse_list, {"a": "b"}, "no list of texts"),
        (parse_list, ["a", 1], "no list of texts"),
    ],
)
def test_what_cannot_be_meant_is_refused(parse, text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize(("seconds", "text"), [(3.21, "3.2 s"), (204, "3.4 min"), (18720, "5.2 h")])
def test_durations_are_shown_in_a_fitting_unit(seconds, text):
    assert show_seconds(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 rows"), (1, "1 row"), (2000, "2,000 rows")])
def test_a_noun_agrees_with_its_number(count, text):
    assert counted(count, "row") == text


@pytest.mark.parametrize("given", ["a=b", ["a=b"], ("a=b",)])
def test_one_text_is_a_list_of_one(given):
    assert parse_list(given) == ("a=b",)
