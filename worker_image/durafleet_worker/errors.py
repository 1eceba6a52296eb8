"""The worker's own exceptions.

ConfigurationError    the environment or the agents file is wrong; the process exits with code 2
"""


class ConfigurationError(Exception):
    """What the worker was given cannot work. The message is one line: what is wrong, and the fix."""
