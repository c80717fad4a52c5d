"""Judge new versions: read what they and their baselines counted, and keep a verdict ready.

Jobs in the background read, each ten seconds a deployment, and only while a candidate shares the
traffic in a rollout that is judged, or a new champion's predecessor is warm. A pass takes the last
verdict and waits for nothing.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final, Protocol

from deployer.analysis.asking import NOBODY, Ask, Reply, reply_all
from deployer.analysis.case import Case, Readings
from deployer.analysis.cases import case_of
from deployer.analysis.criteria import sections_of
from deployer.analysis.windows import SECONDS
from deployer.background.jobs import Jobs
from deployer.errors import SchnitzelError
from deployer.state.evidence import Trial, Verdict, Window
from deployer.state.predictor import Predictor
from deployer.state.record import Record

log = logging.getLogger(__name__)

PARALLEL: Final = 4
PATIENCE_SECONDS: Final = 20.0

Read = Callable[[Predictor], Mapping[str, bytes]]
"""Reads the windows of each replica of a predictor, by its name; b"" of one that is silent."""


class Keeper(Protocol):
    """Keeps evidence over a restart of the Deployer; `deployer.store.evidence` does."""

    def append(self, trial: Trial, windows: Iterable[tuple[int, Window]]) -> None:
        """Keep windows with the step that each belongs to."""
        ...

    def windows(self, trial: Trial) -> Iterable[tuple[int, Window]]:
        """Return the windows of a trial in their order, each with its step."""
        ...

    def note(self, trial: Trial, step: int, at: float, body: Mapping[str, Any]) -> None:
        """Keep the last verdict of a step."""
        ...


class Judging:
    """The verdicts on the new versions of all deployments.

    Args:
        changed: Called with a deployment's id when there is a new verdict.
        clock: Seconds since the epoch.
        keeper: Keeps the evidence; None: it ends with the process.
        ask: Asks Prometheus; None: nobody does.
    """

    def __init__(
        self,
        changed: Callable[[str], None],
        clock: Callable[[], float],
        keeper: Keeper | None = None,
        ask: Ask | None = None,
    ) -> None:
        self._changed = changed
        self._ask = ask
        self._clock = clock
        self._keeper = keeper
        self._cases: dict[str, Case] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._jobs: Jobs[Readings] = Jobs(
            "evidence", PARALLEL, clock, ended=self._ended, retry=None, patience=PATIENCE_SECONDS
        )
        self._questions: Jobs[Mapping[str, Reply]] = Jobs(
            "questions", PARALLEL, clock, ended=self._replied, retry=None, patience=PATIENCE_SECONDS
        )

    def verdict(self, record: Record, read: Read | None) -> Verdict | None:
        """Return the verdict on a record's new version, and begin to read more with `read`.

        None where no candidate shares the traffic in a judged rollout, and no champion bakes.
        """
        with self._lock:
            case = case_of(record, self._cases.get(record.id), self._kept)
            if case is None:
                if read:
                    self.forget(record.id)
                return None
            now = self._clock()
            if read:
                self._cases[record.id] = case
            if read and not case.job and not 0 <= now - case.read_at < SECONDS:
                case.job, case.read_at = f"{record.id} {next(self._numbers)}", now
                self._jobs.ensure(case.job, partial(_read, read, case.subject, case.baseline))
            if read and not case.asking:
                self._put_questions(record.id, case, now)
            return case.verdict(now)

    def forget(self, deployment: str) -> None:
        """Drop the evidence of a rollout that ended."""
        with self._lock:
            self._cases.pop(deployment, None)

    def close(self) -> None:
        """Stop reading."""
        self._jobs.close(0.0)
        self._questions.close(0.0)

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
                self._keep(deployment, case)
        self._changed(deployment)

    def _put_questions(self, deployment: str, case: Case, now: float) -> None:
        questions = case.questions(now)
        if questions and self._ask is None:
            case.answers.take(dict.fromkeys(questions, NOBODY))
        elif questions and self._ask:
            case.asking = f"{deployment} {next(self._numbers)}"
            names = case.subject.name, case.baseline.name
            self._questions.ensure(case.asking, partial(reply_all, self._ask, questions, names))

    def _replied(self, key: str) -> None:
        job = self._questions.peek(key)
        self._questions.forget(key)
        with self._lock:
            case = self._cases.get(key.rpartition(" ")[0])
            if job is None or case is None or case.asking != key:
                return
            case.asking = ""
            if job.result is not None:
                case.answers.take(job.result)

    def _kept(self, trial: Trial) -> Iterable[tuple[int, Window]]:
        try:
            return self._keeper.windows(trial) if self._keeper else ()
        except SchnitzelError as error:
            log.warning("The evidence on %s cannot be read now: %s", trial.deployment, error)
            return ()

    def _keep(self, deployment: str, case: Case) -> None:
        """Keep what is new; what cannot be kept now is kept with the next."""
        if self._keeper is None or not case.fresh:
            return
        trial, now = case.trial(deployment), self._clock()
        verdict = case.verdict(now)
        body = {
            "version": str(case.subject.version.number),
            "baseline_version": str(case.baseline.version.number),
            "verdict": asdict(verdict),
            "spec": sections_of(case.subject.spec),
        }
        try:
            self._keeper.append(trial, case.fresh)
            self._keeper.note(trial, verdict.step, now, body)
        except SchnitzelError as error:
            log.warning("The evidence on %s cannot be kept now: %s", deployment, error)
        else:
            case.fresh.clear()


def _read(read: Read, subject: Predictor, baseline: Predictor) -> Readings:
    return read(subject), read(baseline)
