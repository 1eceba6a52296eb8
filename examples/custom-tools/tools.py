"""Custom tools: plain Python functions. Their signatures and docstrings are what the model sees."""

import json
import os
import time
import urllib.request

from pydantic_ai import RunContext
from temporalio import activity


def record_effect(ctx: RunContext[None], effect: str) -> str:
    """Record an effect in the ledger.

    Args:
        effect: What happened, in a word.
    """
    # A worker that dies between the effect and its answer makes Temporal call the tool once more. The key is the
    # same each time, so a ledger that honours it keeps one entry.
    key = f"{activity.info().workflow_id}/{ctx.tool_call_id}"
    request = urllib.request.Request(
        os.environ["LEDGER_URL"],
        data=json.dumps({"effect": effect, "key": key}).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": key},
    )
    with urllib.request.urlopen(request, timeout=60):
        return f"recorded {effect}"


def slow_report(seconds: float) -> str:
    """Write a report, which takes a while.

    Args:
        seconds: How long it takes.
    """
    time.sleep(seconds)  # a plain function runs in a thread, so waiting here holds up nobody else
    return f"a report that took {seconds:g} seconds"


def order_status(order: str) -> str:
    """Look up an order in the shop.

    Args:
        order: The order's number.
    """
    raise ConnectionError(f"the shop does not answer for order {order}")
