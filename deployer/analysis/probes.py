"""In: a predictor that is ready, and its question. Out: its answer, asked for aside."""

from __future__ import annotations

import threading
from collections.abc import Callable

from deployer.analysis.example import ExampleResult
from deployer.errors import ExampleRefused
from deployer.state.deployment import UNASKED, ExampleAnswer, ExampleState

Key = tuple[str, object]


class Examples:
    """One question for each instance of a predictor; one that was started anew is asked anew."""

    def __init__(self) -> None:
        self._answers: dict[Key, ExampleResult | None] = {}

    def ask(self, name: str, instance: object, question: Callable[[], ExampleResult]) -> None:
        """Ask, unless this instance was asked already; a slow answer holds up no one's exit.

        Args:
            name: the predictor's.
            instance: what is another one after a new start: a process's id, a pod's uid.
            question: asks, and waits for the answer.
        """
        key = (name, instance)
        if key in self._answers:
            return
        self._answers[key] = None
        arguments = (key, question)
        threading.Thread(target=self._ask, args=arguments, name="example", daemon=True).start()

    def verdict(self, name: str, instance: object) -> ExampleAnswer:
        """What is known of the answer."""
        key = (name, instance)
        if key not in self._answers:
            return UNASKED
        verdict = self._answers[key]
        if verdict is None:
            return ExampleAnswer(ExampleState.ASKED)
        state = ExampleState.PASSED if verdict.ok else ExampleState.REFUSED
        return ExampleAnswer(state, verdict.message, verdict.transient, verdict.hint)

    def forget(self, name: str) -> None:
        """Forget a predictor that is gone."""
        for key in [key for key in self._answers if key[0] == name]:
            del self._answers[key]

    def _ask(self, key: Key, question: Callable[[], ExampleResult]) -> None:
        try:
            self._answers[key] = question()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it was not answered
            message = f"The example could not be asked: {error}"
            self._answers[key] = ExampleResult(False, ExampleRefused.reason, message)
