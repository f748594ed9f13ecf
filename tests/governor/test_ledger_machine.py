"""The ledger beside an upstream that counts, at every step that Hypothesis can think of."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.tree import Caps, Dimension, Scope, Tree
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import Flow, Units
from support.limits import ONE, TIMING, TWO, flow, told

WINDOW_MS = 10_000
F, G = flow("t"), flow("u")

Key = tuple[SessionId, Flow]
Message = tuple[SessionId, Flow, tuple[int, int, int], int]


class Books(RuleBasedStateMachine):
    """The ledger beside an upstream that counts, with reports that get lost, repeat and come late."""

    LIMIT, TOKENS, SEATS = 6, 40, 4

    def __init__(self) -> None:
        super().__init__()
        pool = Scope(
            "pool", Caps(requests=self.LIMIT, total_tokens=self.TOKENS, seats=self.SEATS), WINDOW_MS
        )
        share = Scope("share", Caps(requests=3), WINDOW_MS, tenants=frozenset({"t"}))
        self.books = Ledger(Tree((pool, share)), TIMING)
        self.now = 0
        self.granted = {(s, f): [0, 0] for s in (ONE, TWO) for f in (F, G)}
        self.spent = {key: [0, 0] for key in self.granted}
        self.ended = dict.fromkeys(self.granted, 0)
        self.sent: deque[tuple[int, int, str]] = deque()
        self.late: list[Message] = []
        self.gone: set[SessionId] = set()

    keys = st.sampled_from([(s, f) for s in (ONE, TWO) for f in (F, G)])

    @rule(key=keys, tokens=st.integers(1, 15))
    def grant(self, key: Key, tokens: int) -> None:
        session, of = key
        units = Units(1, 0, tokens)
        if session in self.gone or self.books.refusing(of, units) is not None:
            return
        self.books.grant(session, of, units)
        self.granted[key][0] += 1
        self.granted[key][1] += tokens

    @rule(key=keys, late=st.booleans())
    def spend(self, key: Key, late: bool) -> None:
        session, of = key
        granted, spent = self.granted[key], self.spent[key]
        if session in self.gone or spent[0] >= granted[0]:
            return
        tokens = (granted[1] - spent[1]) // (granted[0] - spent[0])
        spent[0] += 1
        spent[1] += tokens
        self.sent.append((self.now, tokens, of.tenant))
        message = (session, of, (spent[0], 0, spent[1]), self.ended[key])
        self.late.append(message)
        if not late:
            self._tell(message)

    @precondition(lambda self: self.late)
    @rule(choice=st.integers(0, 99))
    def tell_late(self, choice: int) -> None:
        self._tell(self.late[choice % len(self.late)])

    @rule(key=keys)
    def end(self, key: Key) -> None:
        if self.ended[key] < self.spent[key][0]:
            self.ended[key] += 1

    @rule(session=st.sampled_from([ONE, TWO]))
    def expire(self, session: SessionId) -> None:
        self.gone.add(session)
        self.books.expire(session, self.now)

    @rule(by=st.integers(0, 6_000))
    def wait(self, by: int) -> None:
        self.now += by
        self.books.advance(self.now)

    def _tell(self, message: Message) -> None:
        session, of, spent, ended = message
        self.books.hear(session, told(of, spent, ended=ended), self.now)

    def _charged(self) -> int:
        return self.books.nodes[0].charged()[Dimension.REQUESTS]

    @invariant()
    def no_window_exceeds_its_limit(self) -> None:
        inside = [one for one in self.sent if one[0] > self.now - WINDOW_MS]
        assert len(inside) <= self.LIMIT
        assert sum(tokens for _, tokens, _ in inside) <= self.TOKENS
        assert sum(tenant == "t" for _, _, tenant in inside) <= 3

    @invariant()
    def what_may_yet_be_spent_is_counted(self) -> None:
        inside = sum(at > self.now - WINDOW_MS for at, _, _ in self.sent)
        left = sum(
            self.granted[key][0] - self.spent[key][0]
            for key in self.granted
            if key[0] not in self.gone
        )
        assert inside + left <= self._charged() <= self.LIMIT

    @invariant()
    def no_more_seats_are_held_than_there_are(self) -> None:
        held = sum(
            self.spent[key][0] - self.ended[key] for key in self.spent if key[0] not in self.gone
        )
        assert held <= self.SEATS

    @invariant()
    def the_books_are_those_of_the_accounts(self) -> None:
        before = [node.charged() for node in self.books.nodes]
        self.books.replant(self.books.tree)
        assert [node.charged() for node in self.books.nodes] == before


Books.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestBooks = Books.TestCase
