"""What a running workflow tells about itself: two search attributes and a memo, seldom.

An upsert of a search attribute that the server does not know fails the workflow task for ever, and what
a workflow does must be the same in every replay, on any worker, whatever is registered by then. So a run
writes the attributes that it was started with: the server accepted those, and the start is the first
event of the history. The operator sets them at the start where they are registered; where they are not,
progress is in the memo only.
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
    """The progress of one run. Lives in workflow code: its clock is the workflow's."""

    def __init__(self) -> None:
        self.usage = RunUsage()
        self.turns = 0
        self._last_tool: str | None = None
        self._reported = workflow.info().start_time
        started_with = workflow.info().typed_search_attributes
        self._indexed = {pair.key.name for pair in started_with.search_attributes}

    def turn(self) -> None:
        """Note an answer of the model."""
        self.turns += 1
        self._report_if_due()

    def tool(self, name: str) -> None:
        """Note a tool that is about to be called."""
        self._last_tool = name
        self._report_if_due()

    def end(self, phase: RunPhase) -> None:
        """Report the end, always: it moves AgentRunUpdated, by which the operator learns that the run closed."""
        self._report(phase, workflow.now())

    def consumed(self) -> Usage:
        """Return what the run has used so far."""
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
