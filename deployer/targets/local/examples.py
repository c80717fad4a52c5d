"""In: a predictor that is ready. Out: its answer to the model's own example, asked aside."""

from __future__ import annotations

import threading
from pathlib import Path

from deployer import example
from deployer.state import ExampleState

Key = tuple[str, int | None]


class Examples:
    """One question for each process of a predictor; a process started anew is asked anew."""

    def __init__(self) -> None:
        self._answers: dict[Key, example.Verdict | None] = {}

    def ask(self, name: str, port: int | None, pid: int | None, artifact: Path) -> None:
        """Ask, unless this process was asked already; a slow answer holds up no one's exit."""
        key = (name, pid)
        if key in self._answers or port is None:
            return
        self._answers[key] = None
        url = f"http://127.0.0.1:{port}"
        arguments = (key, url, artifact)
        threading.Thread(target=self._ask, args=arguments, name="example", daemon=True).start()

    def verdict(self, name: str, pid: int | None) -> tuple[ExampleState, str, bool]:
        """What is known of the answer, what was wrong with it, and whether that may pass."""
        key = (name, pid)
        if key not in self._answers:
            return ExampleState.UNASKED, "", False
        verdict = self._answers[key]
        if verdict is None:
            return ExampleState.ASKED, "", False
        state = ExampleState.PASSED if verdict.ok else ExampleState.REFUSED
        return state, verdict.message, verdict.passing

    def forget(self, name: str) -> None:
        """Forget a predictor that is gone."""
        for key in [key for key in self._answers if key[0] == name]:
            del self._answers[key]

    def _ask(self, key: Key, url: str, artifact: Path) -> None:
        try:
            self._answers[key] = example.ask(url, artifact)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it was not answered
            message = f"The example could not be asked: {error}"
            self._answers[key] = example.Verdict(False, "ExampleRefused", message)
