"""Start components in the order of their needs, and wait until all are healthy."""

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from stack.components.components import Component
from stack.components.health import probe
from stack.errors import ComponentError, StackError
from stack.supervision.supervisor import Supervisor

POLL_SECONDS = 0.1
LOG_LINES = 12


@dataclass(frozen=True)
class Progress:
    """The progress of a component's start."""

    component: str
    state: Literal["waiting", "preparing", "starting", "healthy", "failed"]
    detail: str
    elapsed: float
    """Seconds since the start of this component began."""


def start(
    supervisor: Supervisor,
    components: Collection[Component],
    progress: Callable[[Progress], None],
) -> None:
    """Start the programs of all components in parallel, each after the components it needs.

    Raises:
        ComponentError: a component failed; with the end of its log. Its programs are stopped;
            those of the others keep running.
    """
    starters = {
        component.address.name: _Starter(supervisor, component, progress)
        for component in components
    }
    for starter in starters.values():
        starter.needs = [starters[name] for name in starter.component.needs if name in starters]
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=max(1, len(starters))) as pool:
        try:
            results = [pool.submit(starter.run, stop) for starter in starters.values()]
            errors = [error for result in results if (error := result.result()) is not None]
        finally:
            stop.set()  # an interrupt of this thread ends the waits of the starters
    # The error of a component that never started says less than that of the component it needs.
    errors.sort(key=lambda error: isinstance(error, _NotBegunError))
    if errors:
        raise errors[0]


class _NotBegunError(ComponentError):
    """A component that this component needs has failed."""


class _Starter:
    def __init__(
        self, supervisor: Supervisor, component: Component, progress: Callable[[Progress], None]
    ) -> None:
        self.component = component
        self.needs: list[_Starter] = []
        self._supervisor = supervisor
        self._progress = progress
        self._began = time.monotonic()
        self._settled = threading.Event()
        self._error: StackError | None = None

    def run(self, stop: threading.Event) -> StackError | None:
        try:
            self._await_needs(stop)
            self._began = time.monotonic()
            if self.component.prepare is not None:
                self._report("preparing", "")
                self.component.prepare()
            for program in self.component.programs:
                self._supervisor.put(program)
            self._await_health(stop)
        except StackError as error:
            self._error = error
            self._report("failed", error.message.splitlines()[0])
            self._stop_programs()
        finally:
            self._settled.set()
        return self._error

    def _await_needs(self, stop: threading.Event) -> None:
        for need in self.needs:
            name = need.component.address.name
            while not need._settled.wait(0.5) and not stop.is_set():
                self._report("waiting", f"for {name}")
            if need._error is not None:
                raise _NotBegunError(
                    f"{self.component.address.name} was not started: {name} failed.",
                    need._error.hint,
                )

    def _await_health(self, stop: threading.Event) -> None:
        detail, reported = "", 0.0
        while not stop.is_set():
            now = time.monotonic()
            processes = self._supervisor.processes()
            mine = [processes[program.name] for program in self.component.programs]
            health = probe(self.component.address, processes, self.component.headers)
            if health.ok and all(process.state == "RUNNING" for process in mine):
                self._report("healthy", health.version or "")
                return
            failed = [process.name for process in mine if process.state == "FATAL"]
            if failed:
                raise self._failure(f"{failed[0]} ended as soon as it was started", failed[0])
            if health.lasting:
                raise self._failure(f"{self.component.address.name} cannot begin: {health.detail}")
            if now - self._began > self.component.seconds:
                why = f"after {self.component.seconds:.0f} s {health.detail or 'it still starts'}"
                raise self._failure(f"{self.component.address.name} is not healthy: {why}")
            if health.detail != detail or now - reported > 0.5:
                detail, reported = health.detail, now
                self._report("starting", detail)
            stop.wait(POLL_SECONDS)

    def _failure(self, message: str, program: str | None = None) -> ComponentError:
        address = self.component.address
        if address.attached:
            return ComponentError(
                f"{message}. It is attached: {address.url}",
                f"Correct {address.name}.url and its login in platform.yaml, or start it there.",
            )
        lines = [f"{message}."]
        for each in self.component.programs:
            if program in (None, each.name):
                tail = self._supervisor.tail(each.name, LOG_LINES).rstrip()
                lines += [f"The end of {each.log}:", *(f"  {line}" for line in tail.splitlines())]
        return ComponentError("\n".join(lines), "Run: schnitzel doctor")

    def _stop_programs(self) -> None:
        for program in self.component.programs:
            try:
                self._supervisor.remove(program.name, grace=program.stop_seconds)
            except StackError:
                return  # supervisord itself is gone, and with it all that it could stop

    def _report(
        self,
        state: Literal["waiting", "preparing", "starting", "healthy", "failed"],
        detail: str,
    ) -> None:
        elapsed = time.monotonic() - self._began
        self._progress(Progress(self.component.address.name, state, detail, elapsed))
