"""The stage of the demo: what the upstream does, and how Headrace is configured for it. Pure."""

from collections import Counter
from collections.abc import Sequence
from math import ceil

from headrace.cli.demo import outage, quota
from headrace.cli.demo.prompts import IMPOSSIBLE, Prompt
from headrace.cli.mock.script import Script, build_script

SCRIPT: dict[str, str] = {
    "latency_ms": "150",
    "first_token_ms": "550",
    "tokens": "20",
    "tokens_per_s": "250",
    "rate_5xx": "0.10",
    "rate_429": "0.05",
    "retry_after": "1",
    "max_failures": "2",
}
"""What every call meets. At most two failures a request, and three attempts: all but one succeed."""

ERROR_AFTER_MS = 150
"""From the receipt of a call to an error, by the script."""
FIRST_BYTE_MS = 700
"""From the receipt of a call to the first byte of its answer, by the script."""
RETRY_AFTER_MS = 1_000
SEATS = 24
"""Calls that one dispatcher may have in flight, all models together."""
FEWEST_SEATS = 2
PREFIX = "headrace."
BESIDE = frozenset({quota.MODEL, outage.MODEL})
"""Models whose requests are judged by themselves."""
LEAST_HELD = 5
"""A killed dispatcher must have had so many calls in flight, else the demo has shown nothing."""


def script() -> Script:
    """The script as the mock reads it."""
    return build_script(SCRIPT)


def mock_config(seed: int) -> dict[str, object]:
    """The mock's configuration file."""
    models = {IMPOSSIBLE: {"status": "500"}, quota.MODEL: quota.SCRIPT}
    models[outage.MODEL] = outage.SCRIPT
    return {"seed": seed, "script": SCRIPT, "models": models}


def overlay(prompts: Sequence[Prompt], mock_url: str) -> dict[str, object]:
    """The configuration of the stack: a deployment for each model of the prompts.

    Drains are short, because nothing is waited for but what was interrupted.
    """
    shares = Counter(prompt.model for prompt in prompts)
    return {
        "kafka": {"topic_prefix": PREFIX},
        "ingress": {"drain_s": 2},
        "dispatcher": {"drain_s": 5},
        "deployments": [
            {
                "name": model,
                "model": model,
                "upstream": {"base_url": f"{mock_url}/v1"},
                "limits": {
                    "process_concurrency": max(FEWEST_SEATS, ceil(SEATS * share / len(prompts)))
                },
            }
            for model, share in sorted(shares.items())
        ]
        + [
            {
                "name": quota.MODEL,
                "model": quota.MODEL,
                "upstream": {"base_url": f"{mock_url}/v1"},
                "limits": {"requests_per_minute": quota.LIMIT},
            },
            {
                "name": outage.MODEL,
                "model": outage.MODEL,
                "upstream": {"base_url": f"{mock_url}/v1"},
            },
        ],
        "breaker": outage.BREAKER,
    }
