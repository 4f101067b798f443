"""One option, one meaning: on the command line, in Python, in YAML."""

import dataclasses

import pytest

from pipeline import choices, config, options
from pipeline.errors import UserError


def test_strings_with_units_and_plain_numbers_mean_the_same():
    written = config.make({"model": "m", "unit_bytes": "256MB", "window": "10s", "max_errors": "5%"})
    plain = config.make({"model": "m", "unit_bytes": 256_000_000, "window": 10, "max_errors": 0.05})
    assert written == plain == config.RunConfig(model="m")


def test_every_option_names_its_group_and_says_what_it_means():
    for field in dataclasses.fields(config.RunConfig):
        assert field.metadata["group"], field.name
        assert len(field.metadata["help"]) > 15, field.name


def test_a_misspelt_option_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean window"):
        config.make({"windwo": "3s"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": "2s", "context": "1s"}, "--context must be below half of --window"),
        ({"max_errors": 2.0}, "--max-errors must be between 0 and 1"),
        ({"name": "_plan"}, "--name must be a plain folder name: a letter from A to Z or a digit first, then"),
        ({"name": "a/b"}, "--name must be a plain folder name"),
        ({"device": "tpu"}, "--device must be one of auto, cuda, cpu"),
        ({"model_actors": "0"}, "--model-actors must be above 0"),
        ({"window": "soon"}, "--window: 'soon' is not a number"),
        ({"read_tasks": "many"}, "--read-tasks: 'many' is no whole number from 0 up; write it as 4"),
        ({"read_tasks": 1.5}, "--read-tasks: 1.5 is no whole number"),
        ({"gpus": "two"}, "--gpus: 'two' is not a plain number; write it as 1 or 0.5"),
        ({"unit_bytes": "3s"}, "--unit-bytes: '3s' is not a number with a unit of size; write it as 256MB"),
        ({"max_errors": "5"}, "--max-errors must be between 0 and 1, got 5; did you mean 5%"),
        ({"debug": "false"}, "--debug: 'false' is neither true nor false"),
        ({"window": None}, "--window: None is not a number"),
        ({"window": True}, "--window: True is not a number"),
        ({"name": ["a"]}, r"--name: \['a'\] is no text"),
        ({"task": None}, "--task: None is no list of texts"),
        ({"task": {"transcribe": "m"}}, "--task: {'transcribe': 'm'} is no list of texts; write it as"),
        ({"task": ["transcribe=m", None]}, "--task: .* is no list of texts"),
        ({"threshold": "50"}, "--threshold must be between 0 and 1, got 50; did you mean 50%"),
        ({"threshold": 0.9, "release": 2}, "--release must be between 0 and 1, got 2; did you mean 2%"),
        ({"release": 0.6}, "--release must be at most --threshold, got 0.6 and 0.5"),
        ({"min_segment": 0}, "--min-segment must be above 0"),
        ({"min_segment": "4s", "max_segment": "7s"}, "--max-segment must be at least twice --min-segment"),
        ({"top": 0}, "--top must be above 0"),
        ({"compile": "graphs", "dtype": "int8"}, "--compile graphs and --dtype int8 do not go together"),
        ({"gpus": 8, "device": "cpu"}, "--gpus 8 and --device cpu do not go together"),
        (
            {"stall_timeout": "5m", "recording_timeout": "1h", "batch_timeout": "10m"},
            "--stall-timeout must be a minute above --recording-timeout and --batch-timeout, got 300 s; give it 3660s",
        ),
        ({"stall_timeout": 659}, "got 659 s; give it 660s, or those less"),
        ({"batch_timeout": "30m"}, "got 1800 s; give it 1860s, or those less"),
        ({"compile": "yes"}, "--compile must be one of never, blocks, graphs"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        config.make({"model": "m", **options})


@pytest.mark.parametrize(
    "name",
    [
        field.name
        for field in dataclasses.fields(config.RunConfig)
        if field.name != "task"  # of which any text is one; see below
        and (
            options.field_type(config.RunConfig, field.name) is not str
            or options.choices_of(config.RunConfig, field.name)
        )
    ],
)
def test_every_bad_value_is_named_with_its_option_and_what_is_expected(name):
    with pytest.raises(UserError, match=f"^{options.flag(name)}.*'nonsense'") as caught:
        config.make({"model": "m", name: "nonsense"})
    assert any(words in str(caught.value) for words in ("write it as", "must be one of", "neither true nor false"))


def test_a_task_that_is_none_is_named_and_told_what_is_expected():
    with pytest.raises(UserError, match="^--task nonsense: write it as KIND=MODEL or KIND:NAME=MODEL; the kinds are"):
        choices.choose("label", config.make({"task": "nonsense"}))


@pytest.mark.parametrize("given", ["transcribe=m", ["transcribe=m"], ("transcribe=m",)])
def test_one_task_may_stand_without_a_list(given):
    assert config.make({"task": given}).task == ("transcribe=m",)


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(UserError, match="--max-errors.*") as caught:
        config.make({"max_errors": 2.0, "gpus_per_actor": 0})
    assert "--gpus-per-actor" in str(caught.value)


def test_yaml_has_the_same_options(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("model: m\nunit-bytes: 64MB\nwindow: 20s\n")
    assert config.make(options.from_yaml(config.RunConfig, str(file))) == config.make(
        {"model": "m", "unit_bytes": "64MB", "window": 20}
    )
    file.write_text("task:\n  - transcribe=a\n  - embed:other=b\nmin-segment: 2s\n")
    tasks = config.make({"task": ("transcribe=a", "embed:other=b"), "min_segment": 2.0})
    assert config.make(options.from_yaml(config.RunConfig, str(file))) == tasks


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "\x00"])
def test_a_file_that_is_no_yaml_of_options_is_named(tmp_path, content):
    file = tmp_path / "run.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match="--config .*run.yaml: "):
        options.from_yaml(config.RunConfig, str(file))


def test_a_file_that_is_not_there_is_named_with_its_option():
    with pytest.raises(UserError, match="^--config missing.yaml: no such file or directory; name a YAML file"):
        options.from_yaml(config.RunConfig, "missing.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("windwo: 3s", "there is no option 'windwo'; did you mean window"),
        ("window: soon", "--window: 'soon' is not a number"),
        ("window:", "--window: None is not a number"),
        ("window: 3s\nname: [a", "cannot be read as YAML .line 2"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(tmp_path, content, message):
    file = tmp_path / "run.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=f"--config {file}: {message}"):
        options.from_yaml(config.RunConfig, str(file))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("transcribe", {"top": 3}, "--top is no option of transcribe; it is one of classify, label"),
        ("label", {"name": "x"}, "--name is no option of label; it is one of transcribe, classify, frames, embed"),
        ("classify", {"task": ("embed=x",)}, "--task is no option of classify; it is one of label"),
    ],
)
def test_options_of_another_job_are_refused(kind, options, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        config.make(options, kind=kind)
    assert config.make({"top": 3}, kind="classify").top == 3
