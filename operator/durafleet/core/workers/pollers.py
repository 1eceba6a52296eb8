"""Match the pollers in Temporal to the pods in Kubernetes, and find out why a pod does not run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from durafleet.api.status import Reason
from durafleet.core.conditions import Verdict


@dataclass(frozen=True)
class Poller:
    identity: str
    last_access: datetime


@dataclass(frozen=True, kw_only=True)
class Pod:
    """The relevant state of a worker pod.

    Attributes:
        started: when its worker container last started; None if it does not run.
        waiting: reason and message of a container that cannot start; ("", "") if it can.
        restarts: how often its worker container was restarted.
        last_words: termination message of its last container, which may be the end of the container's log.
    """

    name: str
    ready: bool
    started: datetime | None
    created: datetime
    waiting: tuple[str, str] = ("", "")
    restarts: int = 0
    last_words: str = ""


_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


def polling_pods(pods: Sequence[Pod], pollers: Sequence[Poller]) -> int:
    """Count the running pods that poll.

    A poller belongs to the pod whose name is in its identity. The default identity of the SDKs contains the host name,
    which is the name of the pod. Workers with a custom identity are counted by time: if they have polled since the
    last pod started.
    """
    running = [pod for pod in pods if pod.started is not None]
    named = [pod for pod in running if any(pod.name in poller.identity for poller in pollers)]
    if named:
        return len(named)
    unnamed = [poller for poller in pollers if not any(pod.name in poller.identity for pod in pods)]
    latest = max((pod.started for pod in running if pod.started), default=None)
    if latest is None:
        return 0
    return min(len(running), sum(poller.last_access >= latest for poller in unnamed))


def pod_problem(pods: Sequence[Pod], *, image: str) -> Verdict | None:
    """Return why pods do not run; None if there is no problem."""
    for pod in pods:
        reason, message = pod.waiting
        if reason in _PULL:
            return Verdict(
                Reason.IMAGE_PULL_FAILED,
                f"Image {image!r} cannot be pulled ({reason}: {message}); correct spec.image, push the image, or add a "
                "pull secret.",
            )
        if reason in _CONFIG:
            return Verdict(
                Reason.POD_REJECTED,
                f"Pod {pod.name} cannot start ({reason}: {message}); correct spec.env, spec.envFrom or spec.image, or "
                "create the missing object.",
            )
        if reason == "CrashLoopBackOff" or (pod.restarts >= 2 and not pod.ready):
            cause = (pod.last_words or message).rstrip(".")
            return Verdict(
                Reason.CRASH_LOOP,
                f"The worker container of pod {pod.name} has started {pod.restarts + 1} times and exited each time"
                f"{f': {cause}' if cause else ''}. See its log: kubectl logs {pod.name} --previous",
            )
    return None
