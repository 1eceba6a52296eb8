"""Logs on stdout: one JSON object per line for log collectors, or plain lines for people."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from durafleet_worker.settings import Settings

# Attributes in which the Temporal SDK attaches its context to log records of workflow and activity code.
_CONTEXT = ("temporal_workflow", "temporal_activity")


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, fleet, and Temporal's context if there is one."""

    def __init__(self, *, fleet: str) -> None:
        super().__init__()
        self._fleet = fleet

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._fleet:
            entry["fleet"] = self._fleet
        entry.update({key: value for key in _CONTEXT if (value := getattr(record, key, None)) is not None})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure(settings: Settings) -> None:
    """Send all logs of the process to stdout, in the configured format."""
    handler = logging.StreamHandler(sys.stdout)
    if settings.log_format == "json":
        handler.setFormatter(JsonFormatter(fleet=settings.fleet))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    if settings.log_level != "DEBUG":  # one line per request adds nothing to what Temporal shows
        for chatty in ("httpx", "httpx2", "openai"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
