"""TemporalConnection: where a Temporal namespace is reached."""

from typing import ClassVar

from pydantic import Field

from durafleet.api.model import Model, Rule
from durafleet.api.status import Status


class TemporalConnectionSpec(Model):
    """Where Temporal answers, and which of its namespaces is used."""

    address: str = Field(
        min_length=3,
        max_length=261,
        pattern=r"^[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5}$",
        description="host:port of Temporal's frontend, as seen from the operator and from worker pods.",
        examples=["temporal-frontend.temporal:7233"],
    )
    namespace: str = Field(
        default="default",
        min_length=1,
        max_length=255,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="The Temporal namespace.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "int(self.address.substring(self.address.lastIndexOf(':') + 1)) > 0 "
            "&& int(self.address.substring(self.address.lastIndexOf(':') + 1)) <= 65535",
            "address must end in a port from 1 to 65535, such as temporal-frontend.temporal:7233",
        ),
    )


class TemporalConnectionStatus(Status):
    """What the operator found at the address."""

    server_version: str | None = Field(
        default=None, max_length=63, description="Version that the Temporal server reports."
    )


class TemporalConnection(Model):
    """Where a Temporal namespace is reached; AgentWorkers refer to it by name."""

    kind: ClassVar[str] = "TemporalConnection"
    spec: TemporalConnectionSpec
    status: TemporalConnectionStatus = TemporalConnectionStatus()
