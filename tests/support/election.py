"""Operators of which one leads, and what the API server knows of them: the Lease, and who wrote what in which order."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.operator import MODULE, Fleet, OperatorProcess, operator_process
from tests.support.waiting import until

LEASE = "operator"
LEADS = "ok: this operator leads\n"
"""What a leader says of its readiness."""
_READS = {"get", "list", "watch"}


@contextmanager
def candidate(fleet: Fleet, folder: Path, name: str, **env: str) -> Iterator[OperatorProcess]:
    """Start an operator of this name that takes part in the election of the namespace."""
    mine = folder / name
    mine.mkdir()
    variables = {
        **fleet.env(),
        "DURAFLEET_LEASE_NAME": LEASE,
        "DURAFLEET_LEASE_NAMESPACE": fleet.namespace,
        "POD_NAME": name,
        **env,
    }
    with operator_process(mine, variables, code=MODULE) as operator:
        yield operator


def lease(fleet: Fleet, name: str = LEASE) -> dict[str, Any]:
    """Return what the Lease says; empty if there is none."""
    found = fleet.find("lease", name)
    return dict(found["spec"]) if found is not None else {}


def leader(fleet: Fleet, name: str = LEASE) -> str:
    """Return the name of the operator that holds the Lease; empty if none does."""
    return str(lease(fleet, name).get("holderIdentity") or "").partition("_")[0]


async def until_leads(operator: OperatorProcess, *, within: float = 60) -> None:
    """Return once an operator leads and watches."""
    await until(lambda: operator.ask("/readyz") == (200, LEADS), what="the operator leads", within=within)


class Write(NamedTuple):
    """A write of an operator, as the API server noted it."""

    at: datetime
    who: str
    verb: str
    subject: str
    code: int


def writes(fleet: Fleet) -> list[Write]:
    """Return the writes of operators in the namespace, in the order in which the API server took them."""
    found = []
    for entry in fleet.plane.audit(fleet.namespace):
        agent, about = entry["userAgent"], entry["objectRef"]
        if entry["verb"] in _READS or not agent.startswith("durafleet-operator "):
            continue
        subject = "/".join(str(about[part]) for part in ("resource", "name", "subresource") if part in about)
        at = datetime.fromisoformat(entry["requestReceivedTimestamp"])
        who = agent.rpartition("(")[2].rstrip(")")
        found.append(Write(at, who, entry["verb"], subject, entry["responseStatus"]["code"]))
    return sorted(found)
