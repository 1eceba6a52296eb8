"""The worker process: configuration, connection, work, exit code.

Exit codes: 0 stopped as requested; 1 failed, or did not stop in time; 2 invalid configuration, with one line on
stderr that names the problem and the fix.
"""

import asyncio
import logging
import os
import signal
import sys
from typing import NoReturn

from durafleet.api.contract import ActivityOptions
from durafleet_worker.agents import build_agent, read_agents, register, registry
from durafleet_worker.connect import connect
from durafleet_worker.errors import ConfigurationError
from durafleet_worker.logs import configure
from durafleet_worker.options import activity_config
from durafleet_worker.settings import Settings
from durafleet_worker.worker import build_worker, serve

log = logging.getLogger("durafleet_worker")

OK, FAILED, MISCONFIGURED = 0, 1, 2


def main() -> NoReturn:
    """Run the worker and leave the process."""
    code = run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Exit at once: the thread of a tool that does not stop would keep the interpreter alive, and the threads of the
    # Temporal client can abort an interpreter that shuts down slowly.
    os._exit(code)


def run() -> int:
    """Run the worker and return the exit code of the process."""
    try:
        settings = Settings.from_env()
        _load_agents(settings)
        configure(settings)  # only now, so that no logs surround the line about a bad configuration
        # Not asyncio.run: its cleanup waits for the threads of tools that did not stop; see `main`.
        return asyncio.new_event_loop().run_until_complete(_work(settings))
    except ConfigurationError as error:
        print(f"durafleet-worker: {error}", file=sys.stderr)
        return MISCONFIGURED
    except Exception:
        log.exception("The worker failed.")
        return FAILED


def _load_agents(settings: Settings) -> None:
    defaults = ActivityOptions(
        start_to_close=settings.activity_timeout.total_seconds(),
        heartbeat=settings.heartbeat_timeout.total_seconds(),
    )
    config = activity_config(defaults)
    register([build_agent(agent, activity=config) for agent in read_agents(settings.agents_file).agents])


async def _work(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings.ready_file.unlink(missing_ok=True)
    log.info("Agents: %s. Connecting to Temporal at %s.", ", ".join(registry), settings.address)
    connecting = asyncio.create_task(connect(settings))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({connecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        return OK
    stopped.cancel()
    worker = build_worker(connecting.result(), settings, registry.values())
    return OK if await serve(worker, settings, stop) else FAILED


if __name__ == "__main__":
    main()
