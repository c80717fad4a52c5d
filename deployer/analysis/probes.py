"""Ask each ready predictor its example in a background thread, and keep the answers."""

from __future__ import annotations

import threading
from collections.abc import Callable

from deployer.analysis.example import ExampleResult
from deployer.errors import ExampleRefused
from deployer.state.predictor import UNASKED, ExampleAnswer, ExampleState

Key = tuple[str, object]


class Examples:
    """The answers of predictors to their examples, one per instance: a restart asks again."""

    def __init__(self) -> None:
        self._answers: dict[Key, ExampleResult | None] = {}

    def ask(self, name: str, instance: object, question: Callable[[], ExampleResult]) -> None:
        """Ask an instance once, in a daemon thread: a slow answer does not delay the exit.

        Args:
            name: the predictor's name.
            instance: an id that changes with each start: a process's id, a pod's uid.
            question: sends the example, and waits for the answer.
        """
        key = (name, instance)
        if key in self._answers:
            return
        self._answers[key] = None
        arguments = (key, question)
        threading.Thread(target=self._ask, args=arguments, name="example", daemon=True).start()

    def verdict(self, name: str, instance: object) -> ExampleAnswer:
        """Return the state of an instance's answer."""
        key = (name, instance)
        if key not in self._answers:
            return UNASKED
        verdict = self._answers[key]
        if verdict is None:
            return ExampleAnswer(ExampleState.ASKED)
        state = ExampleState.PASSED if verdict.ok else ExampleState.REFUSED
        return ExampleAnswer(state, verdict.message, verdict.transient, verdict.hint)

    def forget(self, name: str) -> None:
        """Drop the answers of a predictor that is gone."""
        for key in [key for key in self._answers if key[0] == name]:
            del self._answers[key]

    def _ask(self, key: Key, question: Callable[[], ExampleResult]) -> None:
        try:
            self._answers[key] = question()
        except Exception as error:  # noqa: BLE001 - any failure means that no answer came
            message = f"The example could not be asked: {error}"
            self._answers[key] = ExampleResult(False, ExampleRefused.reason, message)
