"""The router of examples/sentiment/, between real model servers and a real RabbitMQ."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pamqp.commands import Basic
from support import ROOT
from support.run.once import made_once
from support.run.ports import free_port
from support.run.process import Running
from support.run.wait import wait_for
from support.systems.rabbitmq import Broker, Received, running_rabbitmq

SENTIMENT = ROOT / "examples/sentiment"
KINDS = ("en 0.9", "da 0.9", "de 0.9", "en 0.2")
"""What the model of languages answers: for two there is a model, one has none, one is unsure."""
JUDGED = KINDS[:2]
SERVERS = {
    "language": ("language", "language.prod.results"),
    "sentiment-en": ("sentiment", "sentiments.prod"),
    "sentiment-da": ("sentiment", "sentiments.prod"),
}
"""The model, and its queue of results, of each server."""


class Pipeline:
    """A broker with the queues of the pipeline, its model servers, and one router at a time."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker, self.folder = broker, folder
        self._numbers = count()
        self._router: Running | None = None

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the example to its end."""
        return subprocess.run(
            [sys.executable, "-m", "sentiment_router", *words],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def route(self) -> Running:
        """Start the router, and wait until it consumes."""
        log = self.folder / f"router-{next(self._numbers)}.log"
        command = [sys.executable, "-m", "sentiment_router"]
        self._router = Running(command, log, self._environment())
        wait_for(lambda: "routing texts.prod" in log.read_text(), f"a router ({log})")
        return self._router

    def stop(self) -> None:
        if self._router is not None:
            assert self._router.stop() == 0, self._router.tail()
            assert "Traceback" not in self._router.tail()
        self._router = None

    def kill(self) -> None:
        """End the router, if there is one: also that of a test that failed."""
        if self._router is not None:
            self._router.signal(signal.SIGKILL)
            self._router.process.wait(10)
        self._router = None

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SENTIMENT / "router/src"),
            "PYTHONWARNINGS": "error",
            "ROUTER_BROKER_URL": self.broker.url(),
            "ROUTER_PREFETCH": "20",
        }


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, model_python: str) -> Iterator[Pipeline]:
    models = made_once(tmp_path_factory, "models-of-the-pipeline", _save_models)
    folder = tmp_path_factory.mktemp("pipeline")
    with ExitStack() as stack:
        broker = stack.enter_context(running_rabbitmq())
        made = Pipeline(broker, folder)
        stack.callback(made.kill)
        declared = made.command("queues", "--declare")
        assert declared.returncode == 0, declared.stderr
        for name in SERVERS:
            variables = {**_server(name, models, folder), "SCHNITZEL_QUEUE_URL": broker.url()}
            variables["SCHNITZEL_PYTHON"] = model_python
            command = [sys.executable, "-m", "serving"]
            log = folder / f"{name}.log"
            stack.callback(Running(command, log, variables, cwd=ROOT).stop)
        yield made


def _save_models(folder: Path) -> None:
    program = Path(__file__).with_name("save_models.py")
    command = [sys.executable, str(program), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _server(name: str, models: Path, folder: Path) -> dict[str, str]:
    model, results = SERVERS[name]
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "SCHNITZEL_MODEL": str(models / model),
        "SCHNITZEL_MODEL_NAME": name,
        "SCHNITZEL_PORT": str(free_port()),
        "SCHNITZEL_QUEUE_SOURCE": f"{name}.prod",
        "SCHNITZEL_QUEUE_RESULTS": results,
        "SCHNITZEL_QUEUE_DEAD_LETTER": f"{name}.prod.dead",
    }


@pytest.fixture
def routed(pipeline: Pipeline) -> Iterator[Pipeline]:
    pipeline.route()
    yield pipeline
    pipeline.stop()


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    """Sentences of the examples, each as one of each kind."""
    texts = [
        row["text"]
        for path in sorted(SENTIMENT.glob("*/src/*/sentences.csv"))
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    ]
    return [f"{kind} {text}" for text in texts for kind in KINDS]


def send(pipeline: Pipeline, begin: int, texts: list[str]) -> None:
    messages = [
        (
            json.dumps({"text": text}).encode(),
            Basic.Properties(delivery_mode=2, message_id=f"text-{number}"),
        )
        for number, text in enumerate(texts, begin)
    ]
    pipeline.broker.send_all("texts.prod", messages)


class Ends:
    """What comes out of the pipeline, by the text's id."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.found: dict[str, list[tuple[str, Received]]] = defaultdict(list)

    def reach(self, number: int, seconds: float = 120) -> None:
        """Wait for something of so many texts."""

        def enough() -> bool:
            for queue in ("sentiments.prod", "other.prod"):
                for each in self._broker.take(queue):
                    self.found[each.headers["router-text-id"]].append((queue, each))
            return len(self.found) >= number

        wait_for(enough, f"results of {number} texts", seconds)


def test_nothing_is_lost_when_router_and_broker_are_killed(pipeline, sentences):
    assert len(sentences) == 720
    broker, ends = pipeline.broker, Ends(pipeline.broker)
    kills, portion = 3, len(sentences) // 4
    for kill in range(kills):
        pipeline.route()
        send(pipeline, kill * portion, sentences[kill * portion : (kill + 1) * portion])
        ends.reach(len(ends.found) + 1)
        pipeline.kill()
    pipeline.route()
    ends.reach(len(ends.found) + 1)
    send(pipeline, kills * portion, sentences[kills * portion :])
    broker.kill()
    broker.start()
    ends.reach(len(sentences))
    pipeline.stop()

    for number, text in enumerate(sentences):
        came = ends.found[f"text-{number}"]
        assert len({each.properties.message_id for _, each in came}) == 1  # a double has its id
        queue, result = came[0]
        assert result.headers["router-text"] == text
        assert result.properties.correlation_id == f"text-{number}"
        assert result.headers["router-language"] == text[:2]
        assert result.headers["router-language-version"] == "1"
        content = json.loads(result.body)
        if text.startswith(JUDGED):
            assert queue == "sentiments.prod"
            assert result.headers["x-schnitzel-model"] == f"sentiment-{text[:2]}"
            assert content == {"predictions": [{"sentiment": "neutral", "score": len(text)}]}
        else:
            assert queue == "other.prod"
            assert content == {"text": text}
            reason = "NoModel" if text.startswith("de") else "Unsure"
            assert result.headers["router-reason"] == reason
    for queue in ("texts.prod.dead", *(f"{name}.prod.dead" for name in SERVERS)):
        assert broker.depth(queue) == 0


def test_what_was_sent_is_counted_where_it_comes_out(routed, sentences, tmp_path):
    broker = routed.broker
    file, sent = tmp_path / "texts.txt", [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    file.write_text("\n".join(sentences[:200]), encoding="utf-8")
    broker.send("other.prod", b"of somebody else", message_id="foreign")
    for part, path in zip(("1/2", "2/2"), sent, strict=True):
        done = routed.command("send", f"mixed={file}", "--sent", str(path), "--part", part)
        assert done.returncode == 0, done.stderr
    done = routed.command("collect", *map(str, sent))
    assert done.returncode == 0, done.stdout + done.stderr
    *rows, last = [line.split() for line in done.stdout.splitlines()]
    assert " ".join(last) == "200 in, 200 out, 0 of them dead; 0 missing, 0 double"
    assert ["others", "200"] in rows
    assert ["en", "1", "sentiment-en", "1", "50"] in rows
    assert ["others", "1", "other.prod:", "NoModel", "-", "50"] in rows
    [foreign] = broker.read("other.prod")
    assert foreign.properties.message_id == "foreign"


def test_a_message_that_cannot_be_read_is_a_dead_letter_with_its_reason(routed):
    broker = routed.broker
    wide = {f"own-{number}": "x" * 1000 for number in range(122)}

    def text(name: str, body: bytes, **more: Any) -> None:
        broker.send("texts.prod", body, message_id=name, **more)

    text("broken", b"{")
    text("nothing", b'{"words": "Hello"}', headers={"own": "kept"})
    text("image", b"\xff", content_type="image/png")
    text("long", json.dumps({"text": "x" * 200_000}).encode())
    text("wide", b'{"text": "da 0.9 Hej"}', headers=wide)
    broker.send("language.prod.results", b'{"predictions": []}', message_id="answer")
    dead = {each.properties.message_id: each for each in broker.read("texts.prod.dead", 6)}
    assert {name: each.headers["router-reason"] for name, each in dead.items()} == {
        "broken": "BadText", "nothing": "BadText", "image": "BadText", "long": "TooLarge",
        "wide": "TooLarge", "answer": "BadAnswer",
    }  # fmt: skip
    assert dead["nothing"].body == b'{"words": "Hello"}'
    assert dead["nothing"].headers["own"] == "kept"
    assert dead["nothing"].headers["router-source"] == "texts.prod"
    assert dead["answer"].headers["router-source"] == "language.prod.results"


def test_a_text_as_long_as_the_router_takes_comes_out_at_the_other_end(routed):
    longest = "en 0.9 " + "æ" * 56_000  # of two bytes each
    routed.broker.send(
        "texts.prod", longest.encode(), content_type="text/plain", message_id="longest"
    )
    [result] = routed.broker.read("sentiments.prod")
    assert result.headers["router-text"] == longest
    assert json.loads(result.body)["predictions"][0]["score"] == len(longest)


def test_texts_wait_while_a_queue_is_missing_or_full(pipeline, routed):
    broker, router = pipeline.broker, pipeline._router
    broker.delete("other.prod")
    send(pipeline, 0, ["de 0.9 Guten Morgen"] * 50)
    wait_for(lambda: "not routing" in router.tail(), "the router's word")
    broker.declare("other.prod", **{"x-max-length": 5, "x-overflow": "reject-publish"})
    ends = Ends(broker)
    ends.reach(50)
    assert broker.depth("texts.prod.dead") == 0
    broker.delete("other.prod")
    broker.declare("other.prod")
