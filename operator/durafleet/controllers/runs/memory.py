"""The observations of one AgentRun since the operator started. They may be lost at a restart: all can be made again."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from durafleet.core.conditions import Verdict
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.world import Given


@dataclass(slots=True)
class Memory:
    """The observations of one run.

    Attributes:
        execution: the last observed execution of its workflow.
        absent: Temporal reported that the workflow does not exist.
        failing_since: since when Temporal has refused calls or not answered; None if the last call succeeded.
        progress_at: when progress was last written to the status.
        given: the input that spec.inputFrom names, or why it is missing; read again in each reconcile.
        unpausable: the generation of the spec for which the server refused to pause the workflow.
        started: the workflow start was sent to Temporal; the first status of the run is not urgent.
        reconciling: the run is being reconciled.
        events_seen: resource versions in watch events during this reconcile.
        written: resource versions that our own writes have created during this reconcile.
    """

    uid: str
    execution: Execution | None = None
    absent: bool = False
    failing_since: datetime | None = None
    progress_at: datetime | None = None
    given: Given | Verdict | None = None
    unpausable: int | None = None
    started: bool = False
    reconciling: bool = False
    events_seen: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Record that a reconcile of the run begins."""
        self.reconciling = True

    def end(self) -> bool:
        """Record that the reconcile is over; return whether a watch event contained a change by another client.

        The watch event of our own write can arrive before the response to the write. So only at the end of a
        reconcile is it known which events are changes by others.
        """
        self.reconciling = False
        changed = any(version not in self.written for version in self.events_seen)
        self.events_seen.clear()
        self.written.clear()
        return changed

    @property
    def observed(self) -> bool:
        """Whether the state of the workflow is known."""
        return self.execution is not None or self.absent

    def observe(self, execution: Execution | None) -> None:
        """Record the observed execution (None: it does not exist); an outcome that was read stays."""
        before = self.execution
        if execution is not None and before is not None and before.run_id == execution.run_id and not execution.open:
            execution = replace(execution, outcome=execution.outcome or before.outcome)
        self.execution = execution
        self.absent = execution is None

    def forget_execution(self) -> None:
        """Forget the execution before a call that may change it: the call can succeed even if its response is lost."""
        self.execution, self.absent = None, False

    def forget_open(self) -> None:
        """Forget an execution that may have changed; a closed one is kept, because it cannot change."""
        if self.execution is None or self.execution.open:
            self.forget_execution()
