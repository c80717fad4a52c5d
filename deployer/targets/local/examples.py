"""In: a predictor that is ready. Out: its answer to the model's own example, asked aside."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from deployer import example
from deployer.state import ExampleState

Key = tuple[str, int | None]


class Examples:
    """One question for each process of a predictor; a process started anew is asked anew."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="example")
        self._asked: dict[Key, Future[example.Verdict]] = {}

    def ask(self, name: str, port: int | None, pid: int | None, artifact: Path) -> None:
        """Ask, unless this process was asked already."""
        key = (name, pid)
        if key not in self._asked and port is not None:
            url = f"http://127.0.0.1:{port}"
            self._asked[key] = self._pool.submit(example.ask, url, artifact)

    def verdict(self, name: str, pid: int | None) -> tuple[ExampleState, str]:
        """What is known of the answer, and what was wrong with it."""
        future = self._asked.get((name, pid))
        if future is None:
            return ExampleState.UNASKED, ""
        if not future.done():
            return ExampleState.ASKED, ""
        if error := future.exception():
            return ExampleState.REFUSED, f"The example could not be asked: {error}"
        verdict = future.result()
        state = ExampleState.PASSED if verdict.ok else ExampleState.REFUSED
        return state, verdict.message

    def forget(self, name: str) -> None:
        """Forget a predictor that is gone."""
        for key in [key for key in self._asked if key[0] == name]:
            del self._asked[key]

    def close(self) -> None:
        """Stop asking."""
        self._pool.shutdown(wait=False, cancel_futures=True)
