"""What the plan of an AgentRun is made from, besides the AgentRun itself."""

from dataclasses import dataclass

from durafleet.core.conditions import Verdict
from durafleet.core.grace import Trouble
from durafleet.core.objects import Worker
from durafleet.core.places import Target
from durafleet.core.runs.admission import Turn
from durafleet.core.runs.execution import Execution


@dataclass(frozen=True)
class Given:
    """The input that spec.inputFrom points at, as it was read."""

    value: object


@dataclass(frozen=True, kw_only=True)
class RunWorld:
    """What was observed around one AgentRun.

    Attributes:
        worker: the AgentWorker it refers to; None if it does not exist.
        target: the Temporal namespace, or why there is none.
        execution: what Temporal last said of its workflow; None if nothing.
        absent: Temporal said that it does not know the workflow.
        trouble: the last call failed, or Temporal has not answered the sweeps for long.
        progress_due: enough time has passed since progress was last written.
        unpolled: why nobody works on the task queue, if nobody does.
        turn: its place in line, where the worker bounds its open runs; None where it does not.
        given: the input from elsewhere, or why it is not there; None if it was not looked for.
        expected: a list of all open executions is on its way, and will show whether its workflow is among them.
        pausable: False once the server has said that it cannot pause workflows.
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
