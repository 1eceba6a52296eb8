"""TemporalConnection: the address of a Temporal frontend and a namespace."""

from typing import ClassVar

from pydantic import Field

from durafleet.api.model import Model, Rule
from durafleet.api.status import Status


class TemporalConnectionSpec(Model):
    """The Temporal frontend and the namespace to use."""

    address: str = Field(
        min_length=3,
        max_length=261,
        pattern=r"^[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5}$",
        description="Address of the Temporal frontend, as host:port. The operator and the worker pods connect to it.",
        examples=["temporal-frontend.temporal:7233"],
    )
    namespace: str = Field(
        default="default",
        min_length=1,
        max_length=255,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description='Temporal namespace to use. Defaults to "default".',
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "int(self.address.substring(self.address.lastIndexOf(':') + 1)) > 0 "
            "&& int(self.address.substring(self.address.lastIndexOf(':') + 1)) <= 65535",
            "address must end in a port from 1 to 65535, such as temporal-frontend.temporal:7233",
        ),
    )


class TemporalConnectionStatus(Status):
    """Observed state of the connection."""

    server_version: str | None = Field(
        default=None, max_length=63, description="Version reported by the Temporal server."
    )


class TemporalConnection(Model):
    """A connection to a Temporal namespace. An AgentWorker refers to it in spec.connectionRef."""

    kind: ClassVar[str] = "TemporalConnection"
    spec: TemporalConnectionSpec
    status: TemporalConnectionStatus = TemporalConnectionStatus()
