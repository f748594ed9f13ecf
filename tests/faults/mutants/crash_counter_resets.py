"""How often processes died with a record in hand is forgotten by the next owner."""

from faults.mutants.patching import replace
from headrace.dispatcher import journal, tenure

ROLE = "dispatcher"


def apply() -> None:
    """After a crash the count begins anew, on trial or not."""

    def forgetful(_crashes: int, progress: int, _on_trial: bool) -> int:
        return 1 if progress > 0 else 0

    replace(journal, after_crash=forgetful)
    replace(tenure, after_crash=forgetful)
