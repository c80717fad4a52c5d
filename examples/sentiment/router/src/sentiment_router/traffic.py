"""Send sentences through the pipeline, and count what comes out of it."""

import asyncio
import csv
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aio_pika.abc import AbstractIncomingMessage

from sentiment_router.broker import Publisher, connected, received
from sentiment_router.routing import (
    LANGUAGE,
    LANGUAGE_VERSION,
    REASON,
    TEXT_ID,
    VERSION,
    Received,
    Sending,
)
from sentiment_router.settings import Settings, queues

AT_ONCE = 100
MODEL, DEAD_REASON = "x-schnitzel-model", "x-schnitzel-reason"
DOUBLES_SECONDS = 1.0


class Sentence(NamedTuple):
    """A text, and the language that its file says it is in."""

    text: str
    language: str


def sentences(sources: Iterable[str], part: str = "1/1", most: int = 0) -> list[Sentence]:
    """Read files, each `PATH` or `LANGUAGE=PATH`.

    A CSV file has a column `text`, and maybe one `language`; others have a text on each line.

    Args:
        sources: the files.
        part: which part to keep of each, such as 1/3.
        most: how many to keep of each at most, from all over the file; 0: all.
    """
    which, _, parts = part.partition("/")
    found = []
    for source in sources:
        whole = list(_read(source))
        kept = whole[:: max(1, -(-len(whole) // most))] if most else whole
        found += kept[int(which) - 1 :: int(parts)]
    return found


async def send(
    settings: Settings, content: list[Sentence], sent: Path, seconds: float = 0.0
) -> None:
    """Publish texts, spread over some seconds, and write their ids and languages to a file."""
    run, pause = uuid.uuid4().hex[:8], seconds / max(1, len(content))
    with sent.open("w", encoding="utf-8") as file:
        async with connected(settings.url(), "sentiment-router send") as connection:
            publisher = await Publisher.on(connection)

            async def one(index: int, sentence: Sentence) -> None:
                name = f"{run}-{index}"
                body = json.dumps({"text": sentence.text}).encode()
                to = settings.routes.texts
                kind = "application/json"
                message = publisher.message(Sending(to, body, kind, name, None, {}))
                file.write(json.dumps({"id": name, "language": sentence.language}) + "\n")
                await publisher.publish(to, message)

            at_once = 1 if pause else AT_ONCE
            for begin in range(0, len(content), at_once):
                some = content[begin : begin + at_once]
                await asyncio.gather(*(one(begin + at, each) for at, each in enumerate(some)))
                await asyncio.sleep(pause)


@dataclass
class Count:
    """What was sent, and what came of it.

    Attributes:
        sent: the language of each id, as its file has it.
        out: how often each id came out, by the id.
        rows: how many came out, by the language that was detected, the version that detected it,
            and the model and version that judged the text, or the reason why none did.
    """

    sent: dict[str, str]
    out: Counter[str] = field(default_factory=Counter)
    rows: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    dead: int = 0

    @property
    def missing(self) -> int:
        """The number of texts that nothing came of."""
        return len(self.sent.keys() - self.out.keys())

    @property
    def double(self) -> int:
        """The number of results too many."""
        return sum(self.out.values()) - len(self.out)

    def add(self, queue: str, message: Received, *, dead: bool) -> bool:
        """Count a message, if it is of a text of ours."""
        headers = message.headers
        name = headers.get(TEXT_ID) or message.name
        if name not in self.sent:
            return False
        self.out[name] += 1
        self.dead += dead
        language, detected, model, judged = (
            str(headers.get(each) or "-") for each in (LANGUAGE, LANGUAGE_VERSION, MODEL, VERSION)
        )
        if reason := headers.get(REASON) or headers.get(DEAD_REASON):
            model, judged = f"{queue}: {reason}", "-"
        self.rows[language, detected, model, judged] += 1
        return True


async def collect(settings: Settings, sent: Iterable[Path], patience: float) -> Count:
    """Take results off their queues until each text has one, or none comes for so many seconds.

    What is of other texts stays in the queues.
    """
    lines = [line for path in sent for line in path.read_text("utf-8").splitlines()]
    found = Count({each["id"]: each["language"] for each in map(json.loads, lines)})
    routes, changed = settings.routes, asyncio.Event()
    dead = {name for name in queues(routes) if name.endswith(".dead")} | {routes.dead_letter}
    async with connected(settings.url(), "sentiment-router collect") as connection:
        channel = await connection.channel(publisher_confirms=False)
        for name in (routes.results, routes.other, *sorted(dead)):

            async def take(message: AbstractIncomingMessage, name: str = name) -> None:
                if found.add(name, received(message), dead=name in dead):
                    await message.ack()
                    changed.set()

            await (await channel.declare_queue(name, passive=True)).consume(take)
        while True:
            changed.clear()
            try:  # a double may come after all have come
                async with asyncio.timeout(patience if found.missing else DOUBLES_SECONDS):
                    await changed.wait()
            except TimeoutError:
                return found


def table(found: Count) -> Iterator[str]:
    """Write the counts as lines; languages that no text was judged in are one."""
    judged = {language for language, _, _, version in found.rows if version != "-"}

    def shown(language: str) -> str:
        return language if language in judged else "others"

    sent, rows = Counter(map(shown, found.sent.values())), Counter[tuple[str, ...]]()
    for (language, *rest), number in found.rows.items():
        rows[shown(language), *rest] += number
    yield "sent as      texts"
    for language, number in sorted(sent.items()):
        yield f"{language:<10} {number:>7}"
    yield ""
    yield f"{'found to be':<11} {'by version':<10} {'judged by':<22} {'version':<7} results"
    for (language, detected, model, version), number in sorted(rows.items()):
        yield f"{language:<11} {detected:<10} {model:<22} {version:<7} {number:>7}"
    yield ""
    yield (
        f"{len(found.sent)} in, {sum(found.out.values())} out, {found.dead} of them dead; "
        f"{found.missing} missing, {found.double} double"
    )


def _read(source: str) -> Iterator[Sentence]:
    language, _, path = source.rpartition("=")
    with Path(path).open(encoding="utf-8", newline="") as file:
        if path.endswith(".csv"):
            for row in csv.DictReader(file):
                yield Sentence(row["text"], row.get("language") or language or "-")
        else:
            for line in filter(None, map(str.strip, file)):
                yield Sentence(line, language or "-")
