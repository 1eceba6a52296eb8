"""Post Events in the background: best effort, as everywhere in Kubernetes, and without delaying a start.

Events are a convenience; the status is what counts. So Events have a bounded queue of their own, few are posted at
a time, and only at intervals while work waits. Events that do not fit, or that are rejected repeatedly, are dropped
and counted, and so are those that are left when the operator stops.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from prometheus_client import Counter

from durafleet.core.objects import Object
from durafleet.core.plans import Announcement
from durafleet.errors import DurafleetError, Refused, Unavailable
from durafleet.kube.client import KubeClient
from durafleet.kube.events import event_of, post_event
from durafleet.kube.resources import Resource

logger = logging.getLogger(__name__)

LONGEST_LINE = 4096
AT_ONCE = 2
TRIES = 3
BUSY_PAUSE = 0.5
"""Seconds between Events while work waits."""
DRAIN_TIME = 1.0
"""Maximum seconds that a stop waits for Events."""

EVENTS_TOTAL = Counter("durafleet_events_total", "Kubernetes Events, by outcome.", ["outcome"])


class Recorder:
    """Posts Events in the background.

    Attributes:
        busy: returns whether there is more urgent work.
    """

    def __init__(self, kube: KubeClient, *, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._now = now
        self._line: deque[dict[str, Any]] = deque()
        self._posters: set[asyncio.Task[None]] = set()
        self.busy: Callable[[], bool] = lambda: False

    def record(self, resource: Resource, subject: Object[Any, Any], announcement: Announcement) -> None:
        """Queue an Event."""
        if len(self._line) >= LONGEST_LINE:
            EVENTS_TOTAL.labels("dropped").inc()
            return
        self._line.append(event_of(resource, subject, announcement, now=self._now()))
        if len(self._posters) < AT_ONCE:
            self._start_poster()

    async def post(self, resource: Resource, subject: Object[Any, Any], announcement: Announcement) -> None:
        """Post an Event at once, because nothing else reports it.

        If it is rejected, for example in a namespace that is being deleted, it is logged.

        Raises:
            Unavailable: it may not have been posted.
        """
        try:
            await post_event(self._kube, event_of(resource, subject, announcement, now=self._now()))
        except Refused as error:
            logger.warning("%s %s/%s: %s (%s)", resource.kind, *subject.key, announcement.message, error)
            EVENTS_TOTAL.labels("dropped").inc()
        else:
            EVENTS_TOTAL.labels("posted").inc()

    async def drain(self, *, within: float = DRAIN_TIME) -> None:
        """Post the queued Events, for a bounded time, before the operator stops."""
        posters = list(self._posters)
        for poster in posters:
            poster.cancel()
        await asyncio.gather(*posters, return_exceptions=True)
        self.busy = lambda: False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await asyncio.gather(*(self._post_all() for _ in range(AT_ONCE)))
        if self._line:
            logger.warning("%d Events were not posted before the stop", len(self._line))
            EVENTS_TOTAL.labels("dropped").inc(len(self._line))
            self._line.clear()

    def _start_poster(self) -> None:
        poster = asyncio.get_running_loop().create_task(self._post_all())
        self._posters.add(poster)
        poster.add_done_callback(self._posters.discard)

    async def _post_all(self) -> None:
        while self._line:
            event = self._line.popleft()
            try:
                await self._post(event)
            except asyncio.CancelledError:
                self._line.appendleft(event)  # a repeat creates no second one
                raise

    async def _post(self, event: dict[str, Any]) -> None:
        if self.busy():
            await asyncio.sleep(BUSY_PAUSE)
        for attempt in range(1, TRIES + 1):
            try:
                await post_event(self._kube, event)
            except Unavailable as error:
                logger.debug("Event %s: %s", event["metadata"]["name"], error)
                if attempt < TRIES:
                    await asyncio.sleep(error.retry_after or attempt)
            except DurafleetError as error:
                logger.debug("Event %s: %s", event["metadata"]["name"], error)
                break
            else:
                EVENTS_TOTAL.labels("posted").inc()
                return
        EVENTS_TOTAL.labels("dropped").inc()
