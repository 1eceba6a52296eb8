"""Durations such as "1h30m". All code that parses or formats them uses this module."""

import re
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}
_PART = re.compile(r"([0-9]+)(ms|s|m|h)")


def parse_duration(text: str) -> timedelta:
    """Turn "90s", "1h30m" or "500ms" into a timedelta.

    Raises:
        ValueError: `text` is not a sequence of <whole number><ms|s|m|h>.
    """
    if not re.fullmatch(r"(?:[0-9]+(?:ms|s|m|h))+", text):
        raise ValueError(f"{text!r} is not a duration; write whole numbers with ms, s, m or h, such as 90s or 1h30m")
    return sum((int(count) * _UNITS[unit] for count, unit in _PART.findall(text)), timedelta())


def format_duration(span: timedelta) -> str:
    """Format a timedelta for people: "1h30m", "45s", "0s". Fractions of a second are dropped."""
    seconds = int(span.total_seconds())
    hours, rest = divmod(max(seconds, 0), 3600)
    minutes, seconds = divmod(rest, 60)
    text = "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if count)
    return text or "0s"
