"""Whether more may be read: the bounds on what one process holds. No I/O."""

from headrace.dispatcher.lanes import LaneQueues
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waits import Waits
from headrace.schemas.config.model import DispatcherConfig


def room(tenure: Tenure, queues: LaneQueues, waits: Waits, limits: DispatcherConfig) -> bool:
    """Whether more of this partition may be read."""
    if waits.crowded:
        return False
    if tenure.delay_ms:
        ahead = waits.room(tenure)
    else:
        few = queues.records[tenure.lane] < limits.read_ahead_records
        ahead = few and tenure.tracker.span < limits.partition_window
    return ahead and queues.bytes[tenure.lane] < limits.read_ahead_bytes
