"""Services: what their silence and their errors become."""

import pytest

from cli.clients.http import Refused, Service, path_segment
from cli.errors import Unreachable


def test_silence_is_unreachable_with_the_way_to_start_it() -> None:
    service = Service("MLflow", "http://127.0.0.1:1")
    with pytest.raises(
        Unreachable, match=r"MLflow does not answer at http://127\.0\.0\.1:1"
    ) as caught:
        service.get("/version")
    assert caught.value.hint == "start it with: schnitzel up"
    assert caught.value.exit_code == 5


def test_loopback_is_asked_directly_whatever_the_proxy(
    api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    api.answer("GET", "/x", {"ok": True})
    assert Service("it", api.url).get("/x") == {"ok": True}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_exit_5(api, status: int) -> None:
    api.answer("GET", "/x", {"error": "no token", "hint": ""}, status)
    with pytest.raises(Unreachable, match="it refuses this: no token") as caught:
        Service("it", api.url, login="log in").get("/x")
    assert caught.value.hint == "log in"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "frozen", "hint": "accept it"}, "it: frozen"),
        ({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such model"}, "no such model"),
        ({"detail": "DAG not found"}, "DAG not found"),
        ({"detail": [{"msg": "field required"}, {"msg": "too long"}]}, "required; too long"),
        ({"detail": {"reason": "not found"}}, "not found"),
        ("<html>", r"Conflict \(409\)"),
        ([1], r"Conflict \(409\)"),
    ],
)
def test_each_service_s_errors_are_understood(api, body: object, words: str) -> None:
    api.answer("POST", "/x", body, 409)
    with pytest.raises(Refused, match=words) as caught:
        Service("it", api.url).post("/x", {})
    assert caught.value.status == 409
    assert caught.value.hint == (body["hint"] if isinstance(body, dict) and "hint" in body else "")


def test_a_redirect_is_not_followed_with_our_credentials(api) -> None:
    api.answer("GET", "/x", "http://127.0.0.1:1/elsewhere", 302)
    with pytest.raises(Refused, match=r"redirects to http:.*elsewhere"):
        Service("it", api.url, headers={"Authorization": "Bearer s3cret"}).get("/x")
    assert len(api.asked) == 1


def test_the_query_leaves_out_what_is_none(api) -> None:
    api.answer("GET", "/x", {})
    Service("it", api.url).get("/x", {"a": None, "b": "ü &", "c": [1, 2]})
    assert api.asked[0]["query"] == "b=%C3%BC+%26&c=1&c=2"


def test_a_name_in_a_path_is_one_segment() -> None:
    assert path_segment("a/b c?") == "a%2Fb%20c%3F"
