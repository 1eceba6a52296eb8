"""The operator's process: settings, logs, run, exit code.

Exit codes: 0 stopped as requested; 1 failed, to be restarted; 2 invalid settings; 3 the lease was lost (see `fence`),
to be restarted.
"""

import asyncio
import logging
import os
import sys
from typing import NoReturn

from durafleet.app import main as run_operator
from durafleet.config import load_settings
from durafleet.errors import ConfigurationError
from durafleet.fence import guarded_loop
from durafleet.telemetry import configure_logging


def main() -> None:
    """Run the operator and end the process with its exit code."""
    try:
        settings = load_settings()
        configure_logging(level=settings.log_level, style=settings.log_format)
        asyncio.Runner(loop_factory=guarded_loop).run(run_operator(settings))
        _leave(0)
    except ConfigurationError as error:
        print(f"durafleet-operator: {error}", file=sys.stderr)
        _leave(2)
    except KeyboardInterrupt:
        _leave(0)
    except BaseException:
        logging.getLogger("durafleet").exception(
            "the operator failed; after a restart it continues from the current state"
        )
        _leave(1)


def _leave(code: int) -> NoReturn:
    """Exit at once, because a running task may ignore its cancellation.

    Temporal's client can also abort an interpreter that shuts down normally (sdk-python#300).
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
