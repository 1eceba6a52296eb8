"""Limits of every run of a declared agent.

They prevent failures that Temporal does not explain: a payload over 2 MB or a history over 50 MB would hang or
terminate the workflow without a reason. docs/architecture.md ("Declared agents") documents them, so a change affects
users.
"""

from datetime import timedelta

TURN_LIMIT = 200
"""Maximum requests to the model in a run without limits.turns. The next one fails it with TurnLimitExceeded."""

RETRIES = 2
"""Maximum corrections by the model of an answer, or of the arguments of one tool, before the run fails."""

CONTEXT_LIMIT = 1_500_000
"""Maximum bytes of the conversation. Each model activity carries all of it, and Temporal accepts at most 2 MB."""

HISTORY_LIMIT = 40_000_000
"""Maximum bytes of the workflow's history. Temporal terminates a workflow at 50 MB."""

TOOL_RESULT_LIMIT = 64 * 1024
"""Maximum bytes of one tool result. The rest is cut off, and a note tells the model so."""

PROGRESS_INTERVAL = timedelta(seconds=10)
"""Minimum interval between two progress reports. The report at the end is always made."""

CACHED_WORKFLOWS = 200
"""Maximum runs whose state a worker caches between workflow tasks. The others are replayed."""

STICKY_TIMEOUT = timedelta(seconds=5)
"""Time that a workflow task waits in the sticky queue before another worker can take it."""
