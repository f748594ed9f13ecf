"""Limits of one API key, with everything real: the key, ingress, dispatchers, the governor's process."""

import asyncio
import uuid
from collections import Counter

import pytest

from headrace.cli.localkafka import LocalKafka
from headrace.schemas import keys
from headrace.schemas.names import LaneName, Tenant
from support.http_client import Client
from support.installation import chat, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

PEPPER = "pepper"
FREE, LIMITED = (keys.mint(Tenant("acme"), fill * keys.RANDOM_BYTES) for fill in (b"f", b"l"))
RPM = 3
OVERLAY = {
    "development": True,
    "auth": {"mode": "keys", "pepper": PEPPER},
    "tenants": {
        "acme": {
            "limits": {"requests_per_minute": 1_000},
            "keys": [
                keys.digest(FREE, PEPPER),
                {
                    "digest": keys.digest(LIMITED, PEPPER),
                    "name": "ci",
                    "limits": {"requests_per_minute": RPM},
                },
            ],
        }
    },
}


async def test_a_key_has_what_it_may_and_other_keys_of_its_tenant_go_on(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with (
        installation(
            kafka.bootstrap,
            tmp_path_factory.mktemp("keys"),
            models={"m": {}},
            dispatchers=2,
            governor=True,
            overlay=OVERLAY,
        ) as running,
        Client(running.url) as client,
    ):

        async def statuses(key: str) -> Counter[int]:
            bodies = [chat(f"{number} {uuid.uuid4()}", "m") for number in range(2 * RPM)]
            asked = {"authorization": f"Bearer {key}", "headrace_timeout": "15"}
            answers = await asyncio.gather(*(client.ask(body, **asked) for body in bodies))
            return Counter(answer.status for answer in answers)

        limited, free = await asyncio.gather(statuses(LIMITED), statuses(FREE))
        written = [
            dict(record.headers).get("headrace-key-name")
            for record in await running.dump(running.topics.requests(LaneName("standard")))
        ]
    assert free == {200: 2 * RPM}
    assert (limited[200], limited[504]) == (RPM, RPM)
    assert Counter(written) == {None: 2 * RPM, b"ci": 2 * RPM}
