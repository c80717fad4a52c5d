"""Run the router, declare its queues, or try the pipeline.

python -m sentiment_router [run | queues | send | collect]
"""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from sentiment_router import traffic
from sentiment_router.broker import TROUBLES, connected, said
from sentiment_router.session import serve
from sentiment_router.settings import BadSettings, Settings, queues, read


def main() -> int:
    """Do what the command line says; the exit status."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    for library in ("aio_pika", "aiormq"):  # what they say, the router says in one line
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        return asyncio.run(_commanded(arguments, read()))
    except BadSettings as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except TROUBLES as error:
        sys.stderr.write(f"error: {said(error)}\n")
        return 1


async def _commanded(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.command == "queues":
        await _queues(settings, declare=arguments.declare, kind=arguments.type)
    elif arguments.command == "send":
        content = traffic.sentences(arguments.source, arguments.part, arguments.most)
        await traffic.send(settings, content, arguments.sent, arguments.seconds)
        print(f"{len(content)} texts sent")
    elif arguments.command == "collect":
        found = await traffic.collect(settings, arguments.sent, arguments.patience)
        print(*traffic.table(found), sep="\n")
        return 1 if found.missing or found.double else 0
    else:
        await _run(settings)
    return 0


async def _run(settings: Settings) -> None:
    settings.url()  # a URL that is missing now is a mistake, and no trouble of the broker's
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop)


async def _queues(settings: Settings, *, declare: bool, kind: str) -> None:
    """Print the pipeline's queues; make those that are not there if a person says so."""
    names = queues(settings.routes)
    if declare:
        async with connected(settings.url(), "sentiment-router queues") as connection:
            channel = await connection.channel()
            for name in names:
                await channel.declare_queue(name, durable=True, arguments={"x-queue-type": kind})
    print(*names, sep="\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sentiment-router", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("run", help="route (the default)")
    named = commands.add_parser("queues", help="print the names of the pipeline's queues")
    named.add_argument("--declare", action="store_true", help="make those that are not there")
    named.add_argument("--type", choices=("classic", "quorum"), default="classic")
    sending = commands.add_parser("send", help="send sentences of files")
    sending.add_argument("source", nargs="+", metavar="[LANGUAGE=]FILE")
    sending.add_argument("--sent", type=Path, required=True, help="file to write the ids to")
    sending.add_argument("--part", default="1/1", help="1/3: every third text, from the first on")
    sending.add_argument("--most", type=int, default=0, help="so many texts of each file at most")
    sending.add_argument("--seconds", type=float, default=0.0, help="spread over so many seconds")
    counting = commands.add_parser("collect", help="take the results off, and count them")
    counting.add_argument("sent", nargs="+", type=Path, help="files that `send` wrote")
    counting.add_argument("--patience", type=float, default=60.0, help="seconds without a result")
    return parser


if __name__ == "__main__":
    sys.exit(main())
