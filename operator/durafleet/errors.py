"""All errors that the operator raises, or translates other errors to.

DurafleetError
├── ConfigurationError     the operator cannot start with these settings; exit code 2
├── Unavailable            the effect is unknown; a retry is safe
│   ├── Conflict           another process wrote first; read again, then decide again
│   └── Throttled          the server limits the rate of requests; send fewer
└── Refused                a retry does not help
    ├── NotFound           the object does not exist
    ├── AlreadyExists      the object exists already, created by another request
    ├── NamespaceNotFound  the Temporal namespace does not exist
    ├── Unsupported        this server cannot do it, or not in this state
    └── Denied             the credentials do not allow it
"""


class DurafleetError(Exception):
    """Base class of all errors. The message is for people."""


class ConfigurationError(DurafleetError):
    """The settings of the operator are invalid."""


class Unavailable(DurafleetError):
    """The effect is unknown; a retry is safe."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(Unavailable):
    """Another process wrote first."""


class Throttled(Unavailable):
    """The server limits the rate of requests."""


class Refused(DurafleetError):
    """A retry does not help."""


class NotFound(Refused):
    """The object does not exist."""


class AlreadyExists(Refused):
    """The object exists already, created by another request."""


class Unsupported(Refused):
    """This server cannot do it, or not in the workflow's state."""


class NamespaceNotFound(Refused):
    """The Temporal namespace does not exist."""


class Denied(Refused):
    """The credentials do not allow it."""
