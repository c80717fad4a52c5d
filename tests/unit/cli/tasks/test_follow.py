"""`deploy logs --follow`: each line once, over rotations, rollouts and restarts of the Deployer."""

import pytest
from hypothesis import given, strategies as st

from cli import errors
from cli.clients.deployments import Log
from cli.errors import Unreachable
from cli.tasks import follow as following
from cli.tasks.follow import new_lines

LINES = st.lists(st.integers(0, 10_000).map(str), unique=True, max_size=30)


@given(LINES, st.integers(1, 12), st.integers(0, 30))
def test_the_end_of_a_log_that_grew_gives_each_new_line_once(
    log: list[str], window: int, grown: int
) -> None:
    grown = min(grown, len(log))
    before, now = log[: len(log) - grown][-window:], log[-window:]
    assert new_lines(before, now) == log[len(log) - grown :][-window:]


def test_lines_that_repeat_are_not_taken_for_new_ones() -> None:
    assert new_lines(["ping"] * 5, ["ping"] * 5) == []
    assert new_lines(["ping", "ping"], ["ping", "ping", "pong"]) == ["pong"]


def test_a_log_begun_anew_is_new() -> None:
    assert new_lines(["a", "b"], ["c"]) == ["c"]


def test_follow_goes_on_through_a_rollout_and_a_restart_until_interrupted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.001)
    answers = iter(
        [
            Log("angler-v1", "loading\nready\n"),
            Unreachable("the Deployer does not answer", "start it"),
            Unreachable("the Deployer does not answer", "start it"),
            Log("angler-v1", "loading\nready\nasked\n"),
            Log("angler-v2", "loading\nready\n"),
        ]
    )

    def read() -> Log:
        answer = next(answers, KeyboardInterrupt())
        if isinstance(answer, BaseException):
            raise answer
        return answer

    with pytest.raises(KeyboardInterrupt):
        following.follow(read)
    out, err = capsys.readouterr()
    assert out.splitlines() == ["loading", "ready", "asked", "loading", "ready"]
    assert err.count("does not answer") == 1
    assert err.endswith("following angler-v2\n")


def test_a_deployer_that_is_down_is_an_error_at_once(schnitzel, home) -> None:
    (home / "ports.json").write_text('{"deployer": 1}')
    assert schnitzel("deploy", "logs", "angler", "-f").code == errors.UNREACHABLE
