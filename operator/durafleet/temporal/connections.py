"""Clients of Temporal: one for the operator's default connection, and one for each TemporalConnection.

Clients of TemporalConnections are never shared across Kubernetes namespaces.
"""

import logging
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetSystemInfoRequest
from temporalio.client import Client

from durafleet.api.contract import SearchAttribute
from durafleet.core.places import Target
from durafleet.core.runs.callbacks import CallbackAddress
from durafleet.errors import Denied, NamespaceNotFound, Refused
from durafleet.temporal.rpc import TIMEOUT, call

logger = logging.getLogger(__name__)

ATTRIBUTES = {
    SearchAttribute.FLEET: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    SearchAttribute.RUN_UID: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    SearchAttribute.UPDATED: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    SearchAttribute.PHASE: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
}
_TYPE_NAMES = {
    IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD: "Keyword",
    IndexedValueType.INDEXED_VALUE_TYPE_DATETIME: "Datetime",
}


@dataclass
class Link:
    """A client of one Temporal namespace, and what is known about the namespace.

    Attributes:
        attributes: those of our search attributes that the namespace has; None until `prepare`.
        pausable: whether the server can pause workflows here.
        advice: that search attributes are missing, and how to register them; None if none is missing.
        callbacks: the address for completion callbacks; None if they are not configured.
        callback_refusal: that the server does not allow callbacks, and the fix; None unless it refused one.
    """

    target: Target
    client: Client
    server_version: str | None = None
    attributes: frozenset[SearchAttribute] | None = None
    advice: str | None = None
    pausable: bool = False
    callbacks: CallbackAddress | None = None
    callback_refusal: str | None = None

    async def prepare(self) -> None:
        """Check that the namespace can be used, and register our search attributes.

        Raises:
            Unavailable: Temporal does not answer.
            NamespaceNotFound, Denied: a person has to act.
        """
        system = await call(
            "GetSystemInfo", self.client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=TIMEOUT)
        )
        self.server_version = system.server_version or None
        request = DescribeNamespaceRequest(namespace=self.target.namespace)
        described = await call(
            "DescribeNamespace", self.client.workflow_service.describe_namespace(request, timeout=TIMEOUT)
        )
        self.pausable = described.namespace_info.capabilities.workflow_pause
        if self.attributes is None or self.advice is not None:
            await self._register()

    def do_without_callbacks(self, error: Refused) -> None:
        """Request no more callbacks, and log once how to allow them."""
        if self.callbacks is None or self.callback_refusal is not None:
            return
        self.callback_refusal = (
            f"Temporal at {self.target.address}, namespace {self.target.namespace!r}, allows no callbacks "
            f"({error}), so the operator finds the ends of runs without them. To allow them, set "
            f"{self.callbacks.server_setting} on the server, then restart the operator."
        )
        logger.warning("%s", self.callback_refusal)

    async def _register(self) -> None:
        operator = self.client.operator_service
        namespace = self.target.namespace
        listing = ListSearchAttributesRequest(namespace=namespace)
        try:
            known = await call("ListSearchAttributes", operator.list_search_attributes(listing, timeout=TIMEOUT))
            missing = {name: kind for name, kind in ATTRIBUTES.items() if name not in known.custom_attributes}
            if missing:
                addition = AddSearchAttributesRequest(
                    namespace=namespace, search_attributes={str(name): kind for name, kind in missing.items()}
                )
                await call("AddSearchAttributes", operator.add_search_attributes(addition, timeout=TIMEOUT))
        except NamespaceNotFound:
            raise
        except (Denied, Refused) as error:
            self.attributes = frozenset()
            self.advice = (
                f"The operator cannot register the search attributes ({str(error).rstrip('.')}), so progress is not "
                f"indexed. Register them with: {registration_command(self.target)}"
            )
            logger.warning("Temporal namespace %s: %s", self.target.namespace, self.advice)
            return
        self.attributes, self.advice = frozenset(ATTRIBUTES), None


def registration_command(target: Target) -> str:
    """Return the command with which a person registers our search attributes."""
    pairs = " ".join(f"--name {name} --type {_TYPE_NAMES[kind]}" for name, kind in ATTRIBUTES.items())
    return f"temporal operator search-attribute create --namespace {target.namespace} {pairs}"


@dataclass
class Pool:
    """All links, by connection. A changed address or namespace creates a new one."""

    identity: str
    callbacks: CallbackAddress | None = None
    _links: dict[tuple[str, str | None], Link] = field(default_factory=dict)

    async def link(self, target: Target) -> Link:
        """Return the link of this target. The client connects at its first call."""
        target = target.way
        key = (target.tenant, target.connection)
        known = self._links.get(key)
        if known is None or known.target != target:
            client = await Client.connect(target.address, namespace=target.namespace, identity=self.identity, lazy=True)
            known = self._links.get(key)  # another task may have connected in the meantime
            if known is None or known.target != target:
                known = self._links[key] = Link(target, client, callbacks=self.callbacks)
        return known

    def callback_refusals(self) -> list[str]:
        """Return the refusals of callbacks, once for each Temporal namespace."""
        refusals = {link.target.place: link.callback_refusal for link in self._links.values()}
        return [refusal for refusal in refusals.values() if refusal is not None]

    async def ready(self, target: Target) -> Link:
        """Return a prepared link. Raises like `Link.prepare`."""
        link = await self.link(target)
        if link.attributes is None:
            await link.prepare()
        return link


LONG_POLL = timedelta(seconds=70)
"""Timeout of a long-poll. Temporal returns an empty response after about 20 s."""
