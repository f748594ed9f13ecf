"""The prompts: read, chosen and split."""

import json
from pathlib import Path

import pytest

from headrace.cli.demo.prompts import (
    IMPOSSIBLE,
    Prompt,
    PromptsError,
    choose,
    default_path,
    read_prompts,
)
from headrace.cli.demo.scenario import burst_size, plain_first, told_errors
from headrace.cli.demo.setting import BESIDE, SCRIPT, mock_config, overlay
from headrace.cli.mock.config import MockConfig
from headrace.schemas.config.model import Config
from support.evidence import good_run


def prompts() -> list[Prompt]:
    return read_prompts(default_path())


def test_the_examples_hold_600_different_prompts() -> None:
    bodies = {json.dumps(prompt.body, sort_keys=True) for prompt in prompts()}
    assert len(bodies) == len(prompts()) == 600


def test_the_examples_hold_every_kind_of_request() -> None:
    kinds = {(prompt.client, prompt.stream) for prompt in prompts()}
    assert kinds == {("sync", False), ("sync", True), ("async", False), ("async", True)}
    assert {prompt.lane for prompt in prompts()} == {"interactive", "standard", "batch"}
    assert {p.endpoint for p in prompts()} == {"chat/completions", "completions", "embeddings"}


def test_one_of_the_examples_can_never_succeed() -> None:
    assert sum(prompt.model == IMPOSSIBLE for prompt in prompts()) == 1


@pytest.mark.parametrize("count", [60, 100, 599, 600])
def test_any_choice_holds_the_impossible_one(count: int) -> None:
    chosen = choose(prompts(), count)
    assert len(chosen) == count
    assert sum(prompt.model == IMPOSSIBLE for prompt in chosen) == 1
    assert len({json.dumps(prompt.body) for prompt in chosen}) == count


def test_more_than_there_are_cannot_be_chosen() -> None:
    with pytest.raises(PromptsError, match="600 prompts, 601"):
        choose(prompts(), 601)


def test_a_missing_file_says_where_to_run() -> None:
    with pytest.raises(PromptsError, match="from a clone"):
        read_prompts(Path("nowhere.jsonl"))


def test_a_line_that_is_no_prompt_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "prompts.jsonl"
    wrong.write_text('{"endpoint": "images"}\n')
    with pytest.raises(PromptsError, match="no prompt"):
        read_prompts(wrong)


def test_the_streams_of_a_burst_come_last_and_nothing_is_left_out() -> None:
    burst = list(enumerate(prompts()[:50], 1))
    ordered = plain_first(burst)
    assert sorted(ordered, key=lambda numbered: numbered[0]) == burst
    streams = [prompt.stream for _, prompt in ordered]
    assert streams == sorted(streams)


def test_a_small_run_has_a_burst_and_something_on_either_side() -> None:
    assert 60 // 5 + burst_size(60) < 60


def test_a_missed_crash_tells_whether_the_requests_went_well() -> None:
    run = good_run()
    assert told_errors(run.history[:2]) == "Of 2 answers so far none was an error."
    told = told_errors(run.history)
    assert told == "Of 3 answers so far 1 were errors, 1 times: InternalServerError"


def test_every_model_of_the_prompts_has_a_deployment() -> None:
    tree = overlay(prompts(), "http://127.0.0.1:1")
    config = Config.model_validate(tree)
    models = {prompt.model for prompt in prompts()}
    assert {each.model for each in config.deployments} == models | BESIDE


def test_the_mock_can_read_its_configuration() -> None:
    config = MockConfig.model_validate(mock_config(seed=3))
    assert config.seed == 3
    assert config.script == SCRIPT
    assert config.models[IMPOSSIBLE] == {"status": "500"}
    assert set(config.models) == {IMPOSSIBLE, *BESIDE}
