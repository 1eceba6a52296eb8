"""Bounds that every run of a declared agent lives within.

They keep a run from ending badly in Temporal: a payload over 2 MB or a history over 50 MB would
hang or terminate the workflow without a word about the reason. Documented in the user guide;
changing one is a change that users notice.
"""

from datetime import timedelta

TURN_LIMIT = 200
"""Requests to the model in a run that sets no limits.turns; the next one ends the run as TurnLimitExceeded."""

RETRIES = 2
"""How often the model may correct an answer, or the arguments of one tool, before the run fails."""

CONTEXT_LIMIT = 1_500_000
"""Bytes of the conversation. Each model activity carries all of it, and Temporal takes 2 MB at most."""

HISTORY_LIMIT = 40_000_000
"""Bytes of the workflow's history; Temporal terminates a workflow at 50 MB."""

TOOL_RESULT_LIMIT = 64 * 1024
"""Bytes of one tool result that reach the model; the rest is cut off, with a note that says so."""

PROGRESS_INTERVAL = timedelta(seconds=10)
"""Shortest time between two reports of ordinary progress; the report at the end is always made."""

CACHED_WORKFLOWS = 200
"""Runs whose state a worker keeps in memory between their steps; the others are replayed."""

STICKY_TIMEOUT = timedelta(seconds=5)
"""How long a run waits for the worker that remembers it before another takes over."""
