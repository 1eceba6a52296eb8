"""A worker with a workflow of its own: plain Temporal, no agent library, no Durafleet code.

It uses the environment that the operator sets in every worker pod. A worker in another language does the same.
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

ACTIVITY_TIMEOUT = timedelta(seconds=float(os.environ.get("DURAFLEET_ACTIVITY_TIMEOUT_SECONDS", "300")))
HEARTBEAT_TIMEOUT = timedelta(seconds=float(os.environ.get("DURAFLEET_HEARTBEAT_TIMEOUT_SECONDS", "30")))
DRAIN_TIMEOUT = timedelta(seconds=float(os.environ.get("DURAFLEET_DRAIN_TIMEOUT_SECONDS", "30")))


@dataclass
class Order:
    """The workflow's argument: the AgentRun's spec.input."""

    number: str
    wait_seconds: float = 60  # how long the customer has to pay
    parcels: int = 3


@activity.defn
async def check_parcels(order: Order) -> int:
    """Look at each parcel. Beats between them, so that a lost worker is noticed within seconds."""
    done = activity.info().heartbeat_details
    for parcel in range(done[0] if done else 0, order.parcels):  # goes on where a lost worker stopped
        await asyncio.sleep(0.2)  # here a real one would ask the carrier
        activity.heartbeat(parcel + 1)
    return order.parcels


@activity.defn
async def remind(order: Order) -> str:
    return f"reminded the customer of order {order.number}"


@workflow.defn
class OrderFollowUp:
    """Checks an order, waits for its payment, and reminds the customer if none comes."""

    def __init__(self) -> None:
        self._paid = False

    @workflow.signal
    def paid(self) -> None:
        self._paid = True

    @workflow.run
    async def run(self, order: Order) -> dict[str, object]:
        options = workflow.ActivityConfig(
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(maximum_attempts=5),
        )
        parcels = await workflow.execute_activity(check_parcels, order, **options)
        try:
            await workflow.wait_condition(lambda: self._paid, timeout=order.wait_seconds)
        except TimeoutError:
            del options["heartbeat_timeout"]  # never on an activity that does not beat
            note = await workflow.execute_activity(remind, order, **options)
        else:
            note = f"order {order.number} was paid"
        return {"parcels": parcels, "note": note}


async def main() -> None:
    """Poll until SIGTERM, then finish what is running and end with code 0."""
    # Reads TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, and the variables for TLS and API keys.
    client = await Client.connect(**ClientConfig.load_client_connect_config(disable_file=True))
    worker = Worker(
        client,
        task_queue=os.environ["TEMPORAL_TASK_QUEUE"],
        workflows=[OrderFollowUp],
        activities=[check_parcels, remind],
        graceful_shutdown_timeout=DRAIN_TIMEOUT,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with worker:
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
    # At once: threads of the Temporal client may abort an interpreter that is on its way out (sdk-python#300).
    os._exit(0)
