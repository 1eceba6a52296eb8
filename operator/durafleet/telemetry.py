"""Logs: one JSON object per line, or plain text for people."""

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure_logging(*, level: str, style: Literal["json", "plain"]) -> None:
    """Send all logs to standard output. Libraries log only warnings and errors."""
    stream = logging.StreamHandler(sys.stdout)
    if style == "json":
        renames = {"asctime": "time", "levelname": "level", "name": "logger"}
        stream.setFormatter(JsonFormatter(_FIELDS, rename_fields=renames))
    else:
        stream.setFormatter(logging.Formatter(_FIELDS))
    logging.basicConfig(level=logging.WARNING, handlers=[stream], force=True)
    logging.getLogger("durafleet").setLevel(level.upper())
