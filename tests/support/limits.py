"""Short words for tests of the governor."""

from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.limits import Epoch, Flow, FlowReport, Refund, Report, Units, Want
from headrace.schemas.names import DeploymentName, KeyName, LaneName, Tenant

TIMING = Timing()
ONE, TWO = SessionId("one.1"), SessionId("two.1")


def flow(
    tenant: str = "t", *, lane: str = "standard", deployment: str = "d", key: str = ""
) -> Flow:
    return Flow(DeploymentName(deployment), LaneName(lane), Tenant(tenant), KeyName(key))


def tree(window_ms: int = 10_000, **caps: int) -> Tree:
    """One scope that holds everything."""
    return Tree((Scope("all", Caps(**caps), window_ms),))


def told(
    of: Flow,
    spent: tuple[int, int, int] = (0, 0, 0),
    renounced: tuple[int, int, int] = (0, 0, 0),
    ended: int = 0,
    want: list[Want] | None = None,
    usual: Units | None = None,
    refunds: list[Refund] | None = None,
    queued: int = 0,
) -> FlowReport:
    return FlowReport(
        *(of, Units(*spent), Units(*renounced), ended, want or [], usual),
        *([*(refunds or [])], queued),
    )


def report(
    session: SessionId,
    seq: int,
    *flows: FlowReport,
    mono_ms: int = 0,
    epoch: int = 1,
    granted: bool = False,
    last: bool = False,
) -> Report:
    dispatcher = ProcessId(session.rpartition(".")[0])
    return Report(dispatcher, session, seq, mono_ms, 250, Epoch(epoch), list(flows), granted, last)
