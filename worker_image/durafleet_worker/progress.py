"""Progress reports of a running workflow: two search attributes and a memo, written rarely.

An upsert of a search attribute that the server does not know fails the workflow task forever. A workflow must also
do the same in every replay, on any worker, even if other attributes are registered at that time. So a run writes
only the attributes that it was started with: the server accepted them, and the start is the first event of the
history. The operator starts runs with neither of the two attributes. The progress of a declared agent is therefore in
the memo only, unless something else started the execution with them.
"""

from datetime import datetime
from typing import Any

from pydantic_ai.usage import RunUsage
from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from durafleet.api.contract import PROGRESS_MEMO, Progress, RunPhase, SearchAttribute, Usage
from durafleet_worker.limits import PROGRESS_INTERVAL

_UPDATED = SearchAttributeKey.for_datetime(SearchAttribute.UPDATED)
_PHASE = SearchAttributeKey.for_keyword(SearchAttribute.PHASE)


class ProgressReport:
    """The progress of one run. It is workflow code and uses the workflow's clock."""

    def __init__(self) -> None:
        self.usage = RunUsage()
        self.turns = 0
        self._last_tool: str | None = None
        self._reported = workflow.info().start_time
        started_with = workflow.info().typed_search_attributes
        self._indexed = {pair.key.name for pair in started_with.search_attributes}

    def turn(self) -> None:
        """Count an answer of the model."""
        self.turns += 1
        self._report_if_due()

    def tool(self, name: str) -> None:
        """Record a tool that is about to be called."""
        self._last_tool = name
        self._report_if_due()

    def end(self, phase: RunPhase) -> None:
        """Report the end. Where AgentRunUpdated is indexed, its update tells the operator that the run closed."""
        self._report(phase, workflow.now())

    def consumed(self) -> Usage:
        """Return what the run has consumed so far."""
        return Usage(
            requests=self.usage.requests,
            tool_calls=self.usage.tool_calls,
            input_tokens=self.usage.input_tokens,
            output_tokens=self.usage.output_tokens,
        )

    def _report_if_due(self) -> None:
        now = workflow.now()
        if now - self._reported >= PROGRESS_INTERVAL:
            self._report(RunPhase.RUNNING, now)

    def _report(self, phase: RunPhase, now: datetime) -> None:
        self._reported = now
        updates: list[SearchAttributeUpdate[Any]] = [_UPDATED.value_set(now), _PHASE.value_set(phase)]
        if indexed := [update for update in updates if update.key.name in self._indexed]:
            workflow.upsert_search_attributes(indexed)
        progress = Progress(turns=self.turns, last_tool=self._last_tool, usage=self.consumed())
        workflow.upsert_memo({PROGRESS_MEMO: progress.wire()})
