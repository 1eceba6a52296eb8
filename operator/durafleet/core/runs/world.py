"""The observed state from which an AgentRun is planned, besides the AgentRun itself."""

from dataclasses import dataclass

from durafleet.core.conditions import Verdict
from durafleet.core.grace import Trouble
from durafleet.core.objects import Worker
from durafleet.core.places import Target
from durafleet.core.runs.admission import Turn
from durafleet.core.runs.execution import Execution


@dataclass(frozen=True)
class Given:
    """The input that spec.inputFrom names, as it was read."""

    value: object


@dataclass(frozen=True, kw_only=True)
class RunWorld:
    """The observed state that the plan of one AgentRun depends on.

    Attributes:
        worker: the AgentWorker that the run refers to; None if it does not exist.
        target: the Temporal namespace of the run, or why there is none.
        execution: the last observed execution of the workflow; None if none was observed.
        absent: Temporal reported that the workflow does not exist.
        trouble: the error of the last call to Temporal, or an outage that the sweeps (periodic visibility queries)
            have detected.
        progress_due: enough time has passed since progress was last written.
        unpolled: why no worker polls the task queue; None if a worker polls or will poll soon.
        turn: whether a slot is free, and the position in the queue; None if the AgentWorker has no concurrency limit.
        given: the input that spec.inputFrom names, or why it is missing; None if it was not read.
        expected: the run waits for the next census (a full list of open executions), which will show its workflow
            if that is open.
        pausable: False if the server has reported that it cannot pause workflows.
    """

    worker: Worker | None
    target: Target | Verdict
    execution: Execution | None = None
    absent: bool = False
    trouble: Trouble | None = None
    progress_due: bool = True
    unpolled: Verdict | None = None
    turn: Turn | None = None
    given: Given | Verdict | None = None
    expected: bool = False
    pausable: bool = True
