"""The environment contract, read once at start: where to poll, what to run, how to stop.

The operator sets these variables in every worker container (`durafleet.api.contract.Env`). A worker that is
started by hand needs only four: the address, the namespace, the task queue and the agents file.
"""

import math
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from durafleet.api.contract import Env
from durafleet_worker.errors import ConfigurationError

READY_FILE = "DURAFLEET_READY_FILE"
LOG_FORMAT = "DURAFLEET_LOG_FORMAT"
LOG_LEVEL = "DURAFLEET_LOG_LEVEL"
_FORMATS = ("json", "plain")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of the worker, from the environment.

    Attributes:
        identity: the identity of the worker in Temporal. It contains the pod's name, by which the operator
            recognises it. It differs from the identity of an earlier process in the same pod, whose polls Temporal
            still remembers.
        drain: time that running activities have to finish after SIGTERM.
        activity_timeout: start-to-close timeout of activities, for runs that set none.
        heartbeat_timeout: heartbeat timeout of activities, for runs that set none.
        ready_file: exists while the worker polls.
    """

    address: str
    namespace: str
    task_queue: str
    agents_file: Path
    identity: str
    fleet: str = ""
    drain: timedelta = timedelta(seconds=30)
    activity_timeout: timedelta = timedelta(minutes=5)
    heartbeat_timeout: timedelta = timedelta(seconds=30)
    workflow_tasks: int = 100
    activities: int = 100
    ready_file: Path = Path("/tmp/ready")  # noqa: S108 - the pod's emptyDir
    log_format: str = "json"
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Read the environment.

        Raises:
            ConfigurationError: a variable is missing or invalid.
        """
        return cls(
            address=_required(env, Env.TEMPORAL_ADDRESS),
            namespace=_required(env, Env.TEMPORAL_NAMESPACE),
            task_queue=_required(env, Env.TEMPORAL_TASK_QUEUE),
            agents_file=_agents_file(env),
            identity=f"{env.get(Env.POD_NAME) or socket.gethostname()}/{secrets.token_hex(3)}",
            fleet=env.get(Env.FLEET, ""),
            drain=_seconds(env, Env.DRAIN_TIMEOUT, default=30, zero=True),
            activity_timeout=_seconds(env, Env.ACTIVITY_TIMEOUT, default=300),
            heartbeat_timeout=_seconds(env, Env.HEARTBEAT_TIMEOUT, default=30),
            workflow_tasks=_slots(env, Env.MAX_WORKFLOW_TASKS, least=2),
            activities=_slots(env, Env.MAX_ACTIVITIES, least=1),
            ready_file=Path(env.get(READY_FILE) or cls.ready_file),
            log_format=_choice(env, LOG_FORMAT, choices=_FORMATS, default=cls.log_format),
            log_level=_choice(env, LOG_LEVEL, choices=_LEVELS, default=cls.log_level),
        )


def _required(env: Mapping[str, str], name: str) -> str:
    if value := env.get(name):
        return value
    raise ConfigurationError(
        f"The variable {name} is not set; the operator sets it in the pods of an AgentWorker. "
        "If you start a worker by hand, set it yourself."
    )


def _agents_file(env: Mapping[str, str]) -> Path:
    if value := env.get(Env.AGENTS_FILE):
        return Path(value)
    raise ConfigurationError(
        f"The variable {Env.AGENTS_FILE} is not set; the operator sets it if the AgentWorker declares agents. "
        "Add an agent to spec.agents, or set spec.image to an image that provides its own workflows."
    )


def _seconds(env: Mapping[str, str], name: str, *, default: float, zero: bool = False) -> timedelta:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ConfigurationError(f"The variable {name} is {text!r}; it must be a number of seconds, such as 30.")
    return timedelta(seconds=value)


def _slots(env: Mapping[str, str], name: str, *, least: int) -> int:
    text = env.get(name) or "100"
    if not text.isdecimal() or int(text) < least:
        raise ConfigurationError(f"The variable {name} is {text!r}; it must be a whole number, {least} or more.")
    return int(text)


def _choice(env: Mapping[str, str], name: str, *, choices: tuple[str, ...], default: str) -> str:
    text = env.get(name) or default
    for choice in choices:
        if text.lower() == choice.lower():
            return choice
    raise ConfigurationError(f"The variable {name} is {text!r}; it must be one of {', '.join(choices)}.")
