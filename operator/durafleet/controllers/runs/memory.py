"""What was observed of one AgentRun since the operator started; a restart loses nothing by losing it."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from durafleet.core.conditions import Verdict
from durafleet.core.runs.execution import Execution
from durafleet.core.runs.world import Given


@dataclass(slots=True)
class Memory:
    """Observations of one run.

    Attributes:
        absent: Temporal said that it does not know the workflow.
        trouble_since: since when Temporal has given no answer, or a refusal.
        progress_at: when progress was last written.
        given: the input from elsewhere, or why it is not there; read anew at each visit.
        unpausable: the generation of the spec for which the server refused to pause the workflow.
        started: Temporal has answered the start; what is left is to say so.
        visited: the run is being worked on.
        brought: resource versions that a watch has brought meanwhile.
        written: those that our own writes have given meanwhile.
    """

    uid: str
    execution: Execution | None = None
    absent: bool = False
    trouble_since: datetime | None = None
    progress_at: datetime | None = None
    given: Given | Verdict | None = None
    unpausable: int | None = None
    started: bool = False
    visited: bool = False
    brought: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def enter(self) -> None:
        """Take in that the run is being worked on."""
        self.visited = True

    def leave(self) -> bool:
        """Take in that the visit is over; tell whether a watch has brought what was not our own doing.

        The echo of a write can come before its answer, so during a visit nobody can tell what is news.
        """
        self.visited = False
        news = any(version not in self.written for version in self.brought)
        self.brought.clear()
        self.written.clear()
        return news

    @property
    def seen(self) -> bool:
        """Whether it is known what has become of the workflow."""
        return self.execution is not None or self.absent

    def see(self, execution: Execution | None) -> None:
        """Take in what a description said; how a run ended is read only once."""
        before = self.execution
        if execution is not None and before is not None and before.run_id == execution.run_id and not execution.open:
            execution = replace(execution, outcome=execution.outcome or before.outcome)
        self.execution = execution
        self.absent = execution is None

    def doubt(self) -> None:
        """Forget all about the execution: what is about to be asked for may happen even if its answer is lost."""
        self.execution, self.absent = None, False

    def forget_open(self) -> None:
        """Forget an execution that may have changed; one that has closed stays as it is."""
        if self.execution is None or self.execution.open:
            self.doubt()
