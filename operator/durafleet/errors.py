"""Every error the operator raises or translates to.

DurafleetError
├── ConfigurationError     the operator cannot start like this; exit code 2
├── Unavailable            nothing is known; asking again is safe
│   ├── Conflict           someone else wrote first; read again, then decide again
│   └── Throttled          the server is asked too often; ask more seldom
└── Refused                asking again will not help
    ├── NotFound           it does not exist
    ├── AlreadyExists      what was to be made is there already, made by something else
    ├── NamespaceNotFound  the Temporal namespace does not exist
    ├── Unsupported        this server cannot do it, or not in this state
    └── Denied             the credentials do not allow it
"""


class DurafleetError(Exception):
    """Base of all errors; the message is meant for people."""


class ConfigurationError(DurafleetError):
    """The operator's own settings are wrong."""


class Unavailable(DurafleetError):
    """Nothing is known about the effect; asking again is safe."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(Unavailable):
    """Someone else wrote first."""


class Throttled(Unavailable):
    """The server is asked more often than it allows."""


class Refused(DurafleetError):
    """Asking again will not help."""


class NotFound(Refused):
    """It does not exist."""


class AlreadyExists(Refused):
    """What was to be made is there already, made by something else."""


class Unsupported(Refused):
    """This server cannot do it, or not in the state that the workflow is in."""


class NamespaceNotFound(Refused):
    """The Temporal namespace does not exist."""


class Denied(Refused):
    """The credentials do not allow it."""
