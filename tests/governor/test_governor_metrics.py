"""Reports that an owner does not take as they are show in the metrics of its process."""

import msgspec
from prometheus_client import CollectorRegistry

from headrace.dispatcher.governing.metrics import Metrics
from headrace.dispatcher.governor.owner import Owner
from headrace.schemas.limits import Epoch, Report
from support.credits import PLAIN
from support.limits import ONE, TIMING, report, tree


def metrics_of(*reports: Report) -> CollectorRegistry:
    registry = CollectorRegistry()
    metrics = Metrics(registry, "limits.reports")
    owner = Owner(Epoch(1), tree(requests=5), PLAIN, TIMING, 0)
    metrics.took_over(0.5)
    for one in reports:
        owner.hear(one, 10)
        metrics.observe(owner)
    return registry


def test_repeated_and_reordered_reports_are_counted() -> None:
    counted = metrics_of(report(ONE, 2), report(ONE, 2), report(ONE, 1), report(ONE, 0))
    name = "headrace_governor_stale_reports_total"
    reasons = [counted.get_sample_value(name, {"reason": r}) for r in ("repeated", "reordered")]
    assert reasons == [1, 2]


def test_what_upstreams_told_in_a_way_that_cannot_be_read_is_counted() -> None:
    damaged = msgspec.structs.replace(report(ONE, 1), headers=msgspec.Raw(b'[["d",-1]]'))
    name = "headrace_governor_unreadable_records_total"
    counted = metrics_of(damaged, report(ONE, 2))
    assert counted.get_sample_value(name, {"topic": "limits.reports"}) == 1
