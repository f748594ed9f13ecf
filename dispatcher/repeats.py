"""What a process knows for judging the ends of calls: per model the policy, the budget, the usual time.

No I/O. The rules are in `policy/`; this keeps what they need from one call to the next.
"""

from collections.abc import Callable, Mapping

from headrace.dispatcher.budget import BudgetPolicy, RetryBudget
from headrace.dispatcher.policy.retry import RetryPolicy, Tried, after_call
from headrace.dispatcher.ports import Break, CallEnd
from headrace.dispatcher.service_times import ServiceTimes
from headrace.dispatcher.verdicts import After, Retry, Settle
from headrace.schemas.config.model import ModelConfig, RetryConfig
from headrace.schemas.names import ModelName, Outcome


class Repeats:
    """Judges calls of all models of one process. `now_s` is monotonic."""

    def __init__(
        self,
        models: Mapping[ModelName, ModelConfig],
        processes: Callable[[], int] = lambda: 1,
    ) -> None:
        """`models` need not name all: the others have the defaults.

        `processes`: how many have the floors of all budgets together.
        """
        self._models = models
        self._processes = processes
        self._policies: dict[ModelName, RetryPolicy] = {}
        self._budgets: dict[ModelName, RetryBudget] = {}
        self._times = ServiceTimes()

    def first_call(self, model: ModelName, now_s: float) -> None:
        """A request is called for the first time."""
        self._budget(model, now_s).first_call(now_s)

    def slow_ms(self, model: ModelName) -> int:
        """Nine of ten good calls of `model` end within it; 0 while none is known."""
        return self._times.slow_ms(model)

    def judge(
        self,
        end: CallEnd,
        tried: Tried,
        *,
        model: ModelName,
        now_ms: int,
        now_s: float,
        roll: float,
        call_ms: int,
        elsewhere: bool,
        outage: bool = False,
        unproven: bool = False,
    ) -> After:
        """The verdict on a call that took `call_ms`; see `after_call`."""
        budget = self._budget(model, now_s)
        good = end.answered and end.status < 300
        verdict = after_call(
            end,
            tried,
            now_ms,
            self._policies[model],
            roll,
            service_ms=self._times.typical_ms(model),
            credit_ms=0 if good else budget.wait_ms(now_s),
            elsewhere=elsewhere,
            outage=outage,
            unproven=unproven,
        )
        if isinstance(verdict, Retry) and verdict.budgeted:
            budget.spend(now_s)
        elif isinstance(verdict, Settle) and verdict.outcome is Outcome.COMPLETED:
            self._times.took(model, call_ms)
        elif end.broken is Break.TOTAL_TIMEOUT:
            self._times.cut(model, call_ms)
        return verdict

    def _budget(self, model: ModelName, now_s: float) -> RetryBudget:
        known = self._budgets.get(model)
        if known is None:
            known = self._budgets[model] = self._open(model)
        known.divide(max(1, self._processes()), now_s)
        return known

    def _open(self, model: ModelName) -> RetryBudget:
        settings = self._models[model].retry if model in self._models else RetryConfig()
        self._policies[model] = RetryPolicy(attempts=settings.attempts)
        return RetryBudget(BudgetPolicy(settings.budget, settings.budget_floor_per_s))
