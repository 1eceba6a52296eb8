"""The worker process: configuration, connection, work, and an exit code that says how it ended.

Exit codes: 0 stopped as asked; 1 it failed, or did not stop in time; 2 the configuration is wrong, with
one line on stderr that says what and how to correct it.
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
    # At once: a tool that does not stop would keep its thread and hence the interpreter alive, and the
    # threads of the Temporal client may abort an interpreter that takes its time to end.
    os._exit(code)


def run() -> int:
    """Do all that the process is for; return its exit code."""
    try:
        settings = Settings.from_env()
        _load_agents(settings)
        configure(settings)  # only now: the one line about a bad configuration must not drown in logs
        # Not asyncio.run: its tidying up waits for threads of tools that did not stop; see `main`.
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
