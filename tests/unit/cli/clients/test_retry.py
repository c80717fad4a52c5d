"""Waits of the command line: a service that is away for a while ends none of them."""

import pytest

from cli.clients import retry
from cli.clients.airflow import Pipelines
from cli.clients.http import Refused, Service
from cli.clients.retry import with_retries
from cli.errors import CommandError, LoginRefused, Unreachable
from cli.tasks import train


class Script:
    """Answers one after the other; an error among them is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def __call__(self, *_):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(retry, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(train, "POLL_SECONDS", 0.001)


def away():
    return Unreachable("Airflow does not answer: timed out", "start it")


def test_a_service_that_goes_away_is_waited_for_and_said_once_each_time():
    told = []
    ask = with_retries(Script(1, away(), away(), 2, away(), 3), told.append)
    assert [ask(), ask(), ask()] == [1, 2, 3]
    warning = "warning: Airflow does not answer: timed out; waiting"
    assert told == [warning, "it answers again"] * 2


def test_a_service_that_never_answered_is_an_error_at_once():
    with pytest.raises(Unreachable):
        with_retries(Script(away()), pytest.fail)()


def test_a_service_that_was_seen_by_others_is_waited_for():
    assert with_retries(Script(away(), 1), lambda _: None, answered=True)() == 1


def test_a_service_that_fails_is_waited_for_like_one_that_is_away():
    told = []
    ask = with_retries(Script(1, Refused("Airflow: Database error", "", 500, ""), 2), told.append)
    assert [ask(), ask()] == [1, 2]
    assert told == ["warning: Airflow: Database error; waiting", "it answers again"]


@pytest.mark.parametrize(
    "error",
    [
        LoginRefused("no token"),
        CommandError("no such run"),
        Refused("Airflow: no run", "", 404, ""),
    ],
)
def test_what_waiting_does_not_mend_is_an_error_at_once(error):
    with pytest.raises(type(error)):
        with_retries(Script(error), pytest.fail, answered=True)()


def test_a_service_that_stays_away_is_an_error_in_the_end():
    with pytest.raises(Unreachable):
        with_retries(Script(away(), away()), lambda _: None, -1, answered=True)()


def test_training_is_followed_though_airflow_is_away_for_a_while(capsys):
    class Pipelines:
        run = Script({"state": "running"}, away(), {"state": "running"}, {"state": "success"})
        steps = Script(away(), [{"task_id": "train", "state": "running"}], [])

    assert train.follow(Pipelines(), "angler", "run-1", 60) == {"state": "success"}
    told = capsys.readouterr().err
    assert told.count("warning: Airflow does not answer: timed out; waiting") == 1
    assert "it answers again" in told


def test_a_run_that_was_started_by_a_request_whose_answer_got_lost_is_the_run(api):
    service = Service("Airflow", api.url)
    api.answer("POST", "/auth/token", {"access_token": "t"})
    api.answer("GET", "/api/v2/dags/small", {"is_paused": False})
    api.answer("POST", "/api/v2/dags/small/dagRuns", {"detail": "it exists"}, 409)
    api.answer("GET", "/api/v2/dags/small/dagRuns/one", {"dag_run_id": "one", "state": "queued"})
    assert Pipelines(service, "ann", "secret").trigger("small", "one", {})["state"] == "queued"
