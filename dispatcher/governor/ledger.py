"""The exact sliding-window ledger: what may be granted without ever exceeding a limit.

How it works. `charged(t) = granted, not spent and not renounced + spends stamped within (t - W, t] +
what sessions that fell silent had left, stamped when it expired`. A grant must keep that within the limit
of every scope it lies in. Stamps are never earlier than the spend itself. So in each window of the upstream
there is no more than the limit: take the last grant among its requests; each other one was counted then.

Stamps are the log's times; the ledger's clock is the newest that it has seen and never goes back.
"""

from collections.abc import Iterator
from typing import Final

from headrace.dispatcher.governor.account import Account, greater, lesser, minus, plus
from headrace.dispatcher.governor.node import Node, Spend
from headrace.dispatcher.governor.shadow import Shadow
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.governor.tree import Tree
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import NOTHING, Flow, FlowGrant, FlowReport, Refund, Units

LEAST_HISTORY_MS: Final = 60_000
"""Spends are remembered this long, so that a limit of a minute can join at any time."""

Accounts = dict[Flow, Account]


class Ledger:
    """The books of one partition: scopes, and the accounts of each session in them."""

    def __init__(self, tree: Tree, timing: Timing) -> None:
        """Nothing is charged yet."""
        self._timing = timing
        self.now_ms = 0
        self._stamp_ms = 0
        self._shut: dict[Node, int] = {}
        """Scopes of which nothing is known before that time: taken for full."""
        self.sessions: dict[SessionId, Accounts] = {}
        self.shadow = Shadow()
        """Limits that are tried out."""
        self.freed = False
        """Whether a seat that somebody waits for came back; whoever has seen it sets it back."""
        self._paths: dict[Flow, tuple[Node, ...]] = {}
        self._plant(tree)

    def advance(self, now_ms: int) -> None:
        """It is `now_ms`, or later if it was."""
        self.now_ms = now_ms = max(self.now_ms, now_ms)
        for node in self.nodes:
            node.slide(now_ms)

    def path(self, flow: Flow) -> tuple[Node, ...]:
        """The scopes that `flow` is charged to, outermost first."""
        path = self._paths.get(flow)
        if path is None:
            path = tuple(node for node in self.nodes if node.scope.holds(flow))
            self._paths[flow] = path
        return path

    def refusing(self, flow: Flow, units: Units) -> Node | None:
        """The first scope that has no room for `units`; None: they may be granted."""
        for node in self.path(flow):
            shut = self._shut.get(node, 0) > self.now_ms and not node.scope.shadow
            if shut or node.refuses(units) is not None:
                return node
        return None

    def grant(self, session: SessionId, flow: Flow, units: Units) -> None:
        """Let the session spend `units` more. The caller has seen that they fit."""
        account = self.account(session, flow)
        for node in account.nodes:
            if node.would_refuse(units):
                self.shadow.judge(f"limit {node.scope.name}", refuse=True, shadow=True)
        before = account.outstanding()
        account.granted = plus(account.granted, units)
        account.stale = True
        self._moved(account, before)

    def account(self, session: SessionId, flow: Flow) -> Account:
        """The session's account; a new one has nothing."""
        accounts = self.sessions.setdefault(session, {})
        if flow not in accounts:
            accounts[flow] = Account(flow, self.path(flow), NOTHING, NOTHING)
        return accounts[flow]

    def hear(self, session: SessionId, told: FlowReport, stamp_ms: int) -> Account:
        """Take a session's own counters, received at `stamp_ms`.

        Of an account that was never heard of they are where it begins: nothing was granted to it in any time
        that still counts.
        """
        accounts = self.sessions.setdefault(session, {})
        account = accounts.get(told.flow)
        if account is None:
            path = self.path(told.flow)
            account = accounts[told.flow] = Account(
                told.flow, path, greater(told.spent, NOTHING), greater(told.renounced, NOTHING)
            )
            account.ended = told.ended
            self._seats(account, account.in_use())
        else:
            self._merge(account, told.spent, told.renounced, told.ended, stamp_ms)
        for refund in told.refunds:
            self._refund(account, refund)
        return account

    def restate(self, session: SessionId, told: FlowGrant, stamp_ms: int) -> None:
        """Take what an earlier owner stated: its grants are in force."""
        account = self.sessions.setdefault(session, {}).get(told.flow)
        if account is None:
            account = Account(told.flow, self.path(told.flow), told.spent, told.renounced)
            account.ended = told.ended
            self.sessions[session][told.flow] = account
            self._seats(account, account.in_use())
        else:
            self._merge(account, told.spent, told.renounced, told.ended, stamp_ms)
        before = account.outstanding()
        account.granted = greater(account.granted, told.granted)
        self._moved(account, before)

    def expire(self, session: SessionId, stamp_ms: int) -> list[tuple[Flow, Units]]:
        """The session can spend no more: what it has is charged as if spent now. Returns what that was."""
        residual: list[tuple[Flow, Units]] = []
        for account in self.sessions.get(session, {}).values():
            left = account.outstanding()
            if account.void:
                continue
            self._seats(account, -account.in_use())
            if any(left):
                self._charge(account, left, stamp_ms)
                residual.append((account.flow, left))
            account.void = True
            account.unconfirmed = left
            self._moved(account, left)
        return residual

    def forget(self, session: SessionId) -> None:
        """Nothing is outstanding there and nothing more will come; spends stay charged."""
        del self.sessions[session]

    def knows(self, session: SessionId, flow: Flow) -> bool:
        """Whether there is such an account."""
        return flow in self.sessions.get(session, {})

    def idle(self, session: SessionId) -> list[Flow]:
        """Flows of which the session has nothing, and whose spends have left every window."""
        accounts = self.sessions[session]
        for account in accounts.values():
            account.forget(self.now_ms - self.width_ms)
        return [flow for flow, account in accounts.items() if account.idle()]

    def close(self, session: SessionId, flow: Flow) -> None:
        """Forget an idle account."""
        del self.sessions[session][flow]

    def shut(self, until_ms: int) -> None:
        """What was granted is not known: take everything for spent until then."""
        self._shut = dict.fromkeys(self.nodes, until_ms)

    def replant(self, tree: Tree) -> None:
        """The limits were changed; what is charged goes with the flows into the new scopes."""
        shut_ms = max(self._shut.values(), default=0)
        known_ms = self.width_ms
        self._plant(tree)
        if self.width_ms > known_ms:
            # What was sent before is forgotten, and the new window reaches further back.
            shut_ms = max(shut_ms, self.now_ms + self.width_ms - known_ms)
        spends: list[tuple[Spend, tuple[Node, ...]]] = []
        for account in self._accounts():
            account.nodes = self.path(account.flow)
            self._moved(account, NOTHING)
            self._seats(account, account.in_use())
            spends += [(spend, account.nodes) for spend in account.spends]
        for spend, nodes in sorted(spends, key=lambda one: one[0].stamp_ms):
            for node in nodes:
                node.charge(spend)
        if shut_ms:
            self.shut(shut_ms)

    def _plant(self, tree: Tree) -> None:
        self.tree = tree
        self.nodes = [Node(scope, self._timing.width_ms(scope.window_ms)) for scope in tree.scopes]
        self.width_ms = self._timing.width_ms(max(tree.window_ms, LEAST_HISTORY_MS))
        self._paths.clear()
        self._shut.clear()
        for node in self.nodes:
            node.slide(self.now_ms)

    def _accounts(self) -> Iterator[Account]:
        for accounts in self.sessions.values():
            yield from accounts.values()

    def _merge(
        self, account: Account, spent: Units, renounced: Units, ended: int, stamp_ms: int
    ) -> None:
        if spent == account.spent and renounced == account.renounced and ended == account.ended:
            return
        before, in_use = account.outstanding(), account.in_use()
        grown = greater(minus(spent, account.spent), NOTHING)
        if account.void:
            known = lesser(grown, account.unconfirmed)
            account.unconfirmed = minus(account.unconfirmed, known)
            grown = minus(grown, known)
        if any(grown):
            self._charge(account, grown, stamp_ms)
        account.stale = True
        account.spent = greater(account.spent, spent)
        account.renounced = greater(account.renounced, renounced)
        account.ended = max(account.ended, ended)
        if not account.void:
            # What was used beyond the grants is charged as sent: as a debt it would count twice.
            used = plus(account.spent, account.renounced)
            account.granted = greater(account.granted, used)
        self._moved(account, before)
        self._seats(account, account.in_use() - in_use)

    def _charge(self, account: Account, units: Units, stamp_ms: int) -> None:
        self._stamp_ms = stamp_ms = max(self._stamp_ms, stamp_ms)
        first = account.spent.requests + 1
        spend = Spend(stamp_ms, units, first, first + units.requests - 1)
        account.forget(self.now_ms - self.width_ms)
        account.spends.append(spend)
        for node in account.nodes:
            node.charge(spend)

    def _refund(self, account: Account, refund: Refund) -> None:
        spend = account.spend_of(refund.ordinal)
        if spend is None or refund.ordinal in account.refunded:
            return
        account.refunded.add(refund.ordinal)
        back = lesser(Units(0, max(0, refund.input), max(0, refund.output)), spend.units)
        for node in account.nodes:
            node.refund(spend, back)
        spend.units = minus(spend.units, back)

    @staticmethod
    def _moved(account: Account, before: Units) -> None:
        after = account.outstanding()
        if after != before:
            requests, tokens_in, tokens_out = minus(after, before)
            for node in account.nodes:
                node.open(requests, tokens_in, tokens_out)

    def _seats(self, account: Account, more: int) -> None:
        if more:
            self.freed = self.freed or (more < 0 and account.sought)
            for node in account.nodes:
                node.in_use += more
                node.returned += max(0, -more)
