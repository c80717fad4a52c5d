"""Messages to a model's queue at a steady rate, in the words in which `Load` asks by HTTP."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Self

from support.load import BODY, Answer, Answered
from support.systems.rabbitmq import Broker, Received

SECONDS = 60.0
"""For the last results, after the last message."""


class MessageLoad(Answered):
    """Messages at a steady rate, whose results are read as they come, until the last is there.

    Each result is an answer; a message without a result is one of status 0.
    """

    def __init__(self, broker: Broker, source: str, results: str, rate: float = 20) -> None:
        super().__init__()
        self.doubles: list[str] = []
        self._broker, self._source, self._results = broker, source, results
        self._pause, self._run = 1 / rate, uuid.uuid4().hex
        self._sent: list[str] = []
        self._ids: dict[str, str] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._send, self._read)]
        self._read_on = threading.Event()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._threads[0].join()
        deadline = time.monotonic() + SECONDS
        while len(self._ids) < len(self._sent) and time.monotonic() < deadline:
            self._read_on.wait(0.1)
        self._read_on.set()
        self._threads[1].join()
        missing = [name for name in self._sent if name not in self._ids]
        self.answers += [Answer(time.time(), 0, "", f"no result of {name}") for name in missing]

    def _send(self) -> None:
        following = time.monotonic()
        while not self._stop.is_set():
            name = f"{self._run}-{len(self._sent)}"
            self._broker.send(self._source, BODY, message_id=name)
            self._sent.append(name)
            following = max(following + self._pause, time.monotonic())
            self._stop.wait(following - time.monotonic())

    def _read(self) -> None:
        while not self._read_on.is_set():
            for one in self._broker.take(self._results):
                self._note(one)
            self._read_on.wait(0.05)

    def _note(self, one: Received) -> None:
        headers = one.headers
        name, result = headers["x-schnitzel-input-id"], one.properties.message_id
        if not name.startswith(self._run):  # of a load before
            return
        if name in self._ids:
            assert self._ids[name] == result, f"doubles of {name} with ids of their own"
            self.doubles.append(name)
            return
        self._ids[name] = str(result)
        self.answers.append(
            Answer(
                time.time(),
                int(headers["x-schnitzel-status"]),
                str(headers["x-schnitzel-version"]),
                one.body.decode()[:300],
            )
        )
