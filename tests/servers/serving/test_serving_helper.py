"""What is large is read in a process beside the front, which goes on meanwhile."""

import asyncio
import os
import signal

import pytest

from serving.backends.base import Unavailable
from serving.backends.helper import HelperProcess
from serving.protocols import tensorflow
from serving.worker.oip.arrange import BadInput


@pytest.fixture
def helper():
    made = HelperProcess()
    yield made
    made.close()


def end_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def test_it_runs_elsewhere_and_says_what_is_wrong(helper):
    async def ask():
        assert await helper.run(os.getpid) != os.getpid()
        question = b"application/json", b'{"instances": [1]', None
        with pytest.raises(BadInput, match="the body is not JSON"):
            await helper.run(tensorflow.invocation_body, *question)

    asyncio.run(ask())


def test_the_loop_turns_while_it_reads(helper):
    rows = b",".join([b"[1.5, 2.5]"] * 300_000)
    body = b'{"dataframe_split": {"columns": ["a", "b"], "data": [' + rows + b"]}}"

    async def ask():
        await helper.run(os.getpid)
        task = asyncio.ensure_future(
            helper.run(tensorflow.invocation_body, b"application/json", body, None)
        )
        turns = 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        with pytest.raises(BadInput, match="has no signature"):
            await task
        return turns

    assert asyncio.run(ask()) > 10


def test_the_next_is_read_by_another_process_when_one_ended(helper):
    async def ask():
        first = await helper.run(os.getpid)
        with pytest.raises(Unavailable, match="ended: try again"):
            await helper.run(end_itself)
        assert await helper.run(os.getpid) not in (first, os.getpid())

    asyncio.run(ask())
