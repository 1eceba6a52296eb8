"""Connect to Temporal. The worker waits while Temporal is unavailable, so that the pod does not crash-loop."""

import asyncio
import logging

from pydantic_ai.durable_exec.temporal import PydanticAIPlugin
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from durafleet_worker.errors import ConfigurationError
from durafleet_worker.settings import Settings

log = logging.getLogger(__name__)

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 10.0


class NotYet(Exception):
    """Temporal cannot be used at the moment, for the reason in the message. The caller can retry."""


async def connect(settings: Settings) -> Client:
    """Connect. Retries until it succeeds, and logs each failure.

    Raises:
        ConfigurationError: the TEMPORAL_* variables contradict each other.
    """
    wait = _FIRST_WAIT
    while True:
        try:
            return await _connect(settings)
        except NotYet as error:
            log.warning("%s Retrying in %g s.", error, wait)
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)


async def _connect(settings: Settings) -> Client:
    try:
        # TLS and API key come from the variables that all Temporal SDKs read (TEMPORAL_TLS*, TEMPORAL_API_KEY).
        options = ClientConfig.load_client_connect_config(disable_file=True)
    except (RuntimeError, ValueError) as error:
        raise ConfigurationError(f"The TEMPORAL_* variables contradict each other: {error}") from error
    options["target_host"] = settings.address
    options["namespace"] = settings.namespace
    try:
        client = await Client.connect(**options, identity=settings.identity, plugins=[PydanticAIPlugin()])
    except (RuntimeError, RPCError) as error:
        raise NotYet(f"Temporal at {settings.address} cannot be reached ({_line(error)}).") from error
    await _look_for_namespace(client, settings)
    return client


async def _look_for_namespace(client: Client, settings: Settings) -> None:
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=settings.namespace))
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise NotYet(
                f"Temporal at {settings.address} has no namespace {settings.namespace!r}; "
                "create it, or correct the TemporalConnection."
            ) from error
        if error.status != RPCStatusCode.PERMISSION_DENIED:  # a worker may be allowed to poll but not to describe
            raise NotYet(f"Temporal at {settings.address} returns an error ({_line(error)}).") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
