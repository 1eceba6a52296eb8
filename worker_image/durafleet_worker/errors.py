"""The worker's own exceptions.

ConfigurationError    the environment or the agents file is invalid; the process exits with code 2
"""


class ConfigurationError(Exception):
    """The configuration of the worker is invalid. The message is one line: the problem and the fix."""
