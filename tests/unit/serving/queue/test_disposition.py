"""What becomes of a message after a try."""

from __future__ import annotations

import pytest

from serving.inference import Overload, Poisoned, ServerFault
from serving.protocols.answer import Answer
from serving.queue.disposition import Disposition, Next, of


@pytest.mark.parametrize(
    ("answer", "first", "last"),
    [
        (Answer(200, b""), (Next.PUBLISH, ""), (Next.PUBLISH, "")),
        (Answer(400, b""), (Next.DEAD, "BadInput"), (Next.DEAD, "BadInput")),
        (Answer(415, b""), (Next.DEAD, "BadInput"), (Next.DEAD, "BadInput")),
        (Answer(413, b""), (Next.DEAD, "TooLarge"), (Next.DEAD, "TooLarge")),
        (Answer(500, b""), (Next.AGAIN, ""), (Next.DEAD, "ModelRaised")),
        (Answer(504, b""), (Next.AGAIN, ""), (Next.DEAD, "TimedOut")),
        (ServerFault(500, b""), (Next.AGAIN, ""), (Next.DEAD, "ServerFault")),
        (Poisoned(500, b""), (Next.DEAD, "WorkerKilled"), (Next.DEAD, "WorkerKilled")),
        (Overload(503, b""), (Next.LATER, ""), (Next.LATER, "")),
        (Answer(503, b""), (Next.LATER, ""), (Next.LATER, "")),
    ],
)
def test_the_answer_decides_and_only_faults_of_the_model_have_tries(answer, first, last):
    assert of(answer, 1, 2) == Disposition(*first)
    assert of(answer, 2, 2) == Disposition(*last)
