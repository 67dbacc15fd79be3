"""The queue: batches of cases, handed to as many workers as there are cores until none is left.

A batch that ends without a verdict on some of its cases (the tool was killed, crashed, or was too slow) is not lost:
the cases that lack one are queued once more, each alone, so that one bad case does not hide the others.
"""

import asyncio
import collections
import json
import shutil

from .cases import Batch, batches, cost
from .children import together
from .verdict import Outcome

# A batch may take this long, and for each second that it should take, this many.
BATCH_SECONDS = 60.0
BATCH_SLACK = 20.0
# A duration beyond this is not one: wstest subtracts from zero when the connection never opened.
LONGEST_MILLISECONDS = 24 * 3600 * 1000


class Work:
    """All cases of a run. `outcomes` grows as batches end; `reasons` says why cases have none in the end; `under_way`
    is what each worker was at when it was last heard of.
    """

    def __init__(self, tool, subject, directory, progress):
        self.outcomes = {}
        self.reasons = {}
        self.under_way = {}
        self._tool = tool
        self._subject = subject
        self._pages = directory / "cases"
        self._batches = directory / "batches"
        self._progress = progress
        self._queue = collections.deque()
        self._started = 0

    async def run(self, cases, workers):
        """Runs the cases to the end."""
        self._queue.extend(batches(cases, workers))
        self._pages.mkdir(parents=True)
        await together(*(self._worker() for _ in range(workers)))

    async def _worker(self):
        while self._queue:
            await self._run_batch(self._queue.popleft())

    async def _run_batch(self, batch):
        self._started += 1
        directory = self._batches / f"{self._started:03}"
        limit = BATCH_SECONDS + BATCH_SLACK * batch.seconds
        running = self._tool.run(batch.cases, self._subject, directory, self._follower(directory, batch))
        try:
            reason = str(await asyncio.wait_for(running, limit))
        except asyncio.TimeoutError:
            reason = f"not done within {limit:.0f} s, see {directory / 'log.txt'}"
        for outcome in self._collect(directory / "reports"):
            self.outcomes[outcome.case] = outcome
            self._progress.judged(outcome)
        del self.under_way[directory]
        self._queue_again(batch, reason)

    def _follower(self, directory, batch):
        tell = self._progress.follower()
        self.under_way[directory] = batch.cases

        def started(case):
            self.under_way[directory] = (case,)
            tell(case)

        return started

    def _queue_again(self, batch, reason):
        for case in batch.cases:
            if case in self.outcomes:
                continue
            if batch.is_retry:
                self.reasons[case] = reason
            else:
                self._queue.append(Batch((case,), cost(case), is_retry=True))

    def _collect(self, reports):
        """Reads the reports of one batch, and moves the pages of its cases to where the report of the run links."""
        index = reports / "index.json"
        if not index.is_file():
            return
        for agent in json.loads(index.read_text("utf-8")).values():
            for case, line in agent.items():
                yield self._outcome(case, line, reports / line["reportfile"])
        shutil.rmtree(reports)

    def _outcome(self, case, line, details):
        detail = json.loads(details.read_text("utf-8"))
        page = self._pages / f"{case}.html"
        shutil.move(str(details.with_suffix(".html")), str(page))
        shutil.move(str(details), str(page.with_suffix(".json")))
        milliseconds = line["duration"]
        return Outcome(
            case=case,
            behavior=line["behavior"],
            behavior_close=line["behaviorClose"],
            result=detail["result"],
            description=detail["description"],
            close_code=line["remoteCloseCode"],
            milliseconds=milliseconds if milliseconds < LONGEST_MILLISECONDS else None,
            page=page,
        )
