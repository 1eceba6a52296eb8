"""Operators with leader election, and what the API server has of them: the Lease, and their writes in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.operator import MODULE, Fleet, OperatorProcess, operator_process
from tests.support.waiting import until

LEASE = "operator"
LEADER_READY = "ok: this operator leads\n"
"""The leader's response to /readyz."""
_READS = {"get", "list", "watch"}


@contextmanager
def candidate(fleet: Fleet, folder: Path, name: str, **env: str) -> Iterator[OperatorProcess]:
    """Start an operator with this name that takes part in the leader election of the namespace."""
    own_folder = folder / name
    own_folder.mkdir()
    variables = {
        **fleet.env(),
        "DURAFLEET_LEASE_NAME": LEASE,
        "DURAFLEET_LEASE_NAMESPACE": fleet.namespace,
        "POD_NAME": name,
        **env,
    }
    with operator_process(own_folder, variables, code=MODULE) as operator:
        yield operator


def lease(fleet: Fleet, name: str = LEASE) -> dict[str, Any]:
    """Return the spec of the Lease; empty if there is no Lease."""
    found = fleet.find("lease", name)
    return dict(found["spec"]) if found is not None else {}


def leader(fleet: Fleet, name: str = LEASE) -> str:
    """Return the name of the operator that holds the Lease; empty if no operator does."""
    return str(lease(fleet, name).get("holderIdentity") or "").partition("_")[0]


async def until_leads(operator: OperatorProcess, *, within: float = 60) -> None:
    """Return once an operator is the leader and watches."""
    await until(
        lambda: operator.ask("/readyz") == (200, LEADER_READY), what="the operator is the leader", within=within
    )


class Write(NamedTuple):
    """A write of an operator, from the audit log."""

    at: datetime
    operator: str
    verb: str
    subject: str
    code: int


def writes(fleet: Fleet) -> list[Write]:
    """Return the writes of operators in the namespace, in the order in which the API server received them."""
    found = []
    for entry in fleet.plane.audit(fleet.namespace):
        agent, reference = entry["userAgent"], entry["objectRef"]
        if entry["verb"] in _READS or not agent.startswith("durafleet-operator "):
            continue
        subject = "/".join(str(reference[part]) for part in ("resource", "name", "subresource") if part in reference)
        at = datetime.fromisoformat(entry["requestReceivedTimestamp"])
        operator = agent.rpartition("(")[2].rstrip(")")
        found.append(Write(at, operator, entry["verb"], subject, entry["responseStatus"]["code"]))
    return sorted(found)
