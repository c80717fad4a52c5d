"""Judge new versions: read what they and their baselines counted, and keep a verdict ready.

Jobs in the background read, each ten seconds a deployment, and only while a candidate shares the
traffic in a rollout that is judged, or a new champion's predecessor is warm. A pass takes the last
verdict and waits for nothing.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from deployer.analysis.cases import Case, Readings, case_of
from deployer.analysis.windows import SECONDS
from deployer.background.jobs import Jobs
from deployer.state.evidence import Verdict
from deployer.state.predictor import Predictor
from deployer.state.record import Record

PARALLEL: Final = 4
PATIENCE_SECONDS: Final = 20.0

Read = Callable[[Predictor], Mapping[str, bytes]]
"""Reads the windows of each replica of a predictor, by its name; b"" of one that is silent."""


class Judging:
    """The verdicts on the new versions of all deployments.

    Args:
        changed: Called with a deployment's id when there is a new verdict.
        clock: Seconds since the epoch.
    """

    def __init__(self, changed: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._changed = changed
        self._clock = clock
        self._cases: dict[str, Case] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._jobs: Jobs[Readings] = Jobs(
            "evidence", PARALLEL, clock, ended=self._ended, retry=None, patience=PATIENCE_SECONDS
        )

    def verdict(self, record: Record, read: Read | None) -> Verdict | None:
        """Return the verdict on a record's new version, and begin to read more with `read`.

        None where no candidate shares the traffic in a judged rollout, and no champion bakes.
        """
        with self._lock:
            case = case_of(record, self._cases.get(record.id))
            if case is None:
                if read:
                    self.forget(record.id)
                return None
            now = self._clock()
            if read:
                self._cases[record.id] = case
            if read and not case.job and now - case.read_at >= SECONDS:
                case.job, case.read_at = f"{record.id} {next(self._numbers)}", now
                self._jobs.ensure(case.job, partial(_read, read, case.subject, case.baseline))
            return case.verdict(now)

    def forget(self, deployment: str) -> None:
        """Drop the evidence of a rollout that ended."""
        with self._lock:
            self._cases.pop(deployment, None)

    def close(self) -> None:
        """Stop reading."""
        self._jobs.close(0.0)

    def _ended(self, key: str) -> None:
        job = self._jobs.peek(key)
        self._jobs.forget(key)
        deployment = key.rpartition(" ")[0]
        with self._lock:
            case = self._cases.get(deployment)
            if job is None or case is None or case.job != key:
                return
            case.job = ""
            if job.result is None:
                case.problem = str(job.error or "nobody answered")
            else:
                case.take(job.result, self._clock())
        self._changed(deployment)


def _read(read: Read, subject: Predictor, baseline: Predictor) -> Readings:
    return read(subject), read(baseline)
