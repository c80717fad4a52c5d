"""The small parts of the front: paths, redaction, metrics, state file, predictor file."""

import json

import pytest
from hypothesis import given, strategies as st
from support.redaction import CASES

from serving import predictor
from serving.front import routes
from serving.telemetry import metrics
from serving.telemetry.redact import redact
from serving.telemetry.state import StateFile


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"/", "index"),
        (b"/v2", "server"),
        (b"/v2/", "server"),
        (b"/v2/health/live", "live"),
        (b"/v2/health/ready", "ready"),
        (b"/v2/models/my%20model", "model"),
        (b"/v2/models/my%20model/ready", "model_ready"),
        (b"/v2/models/my%20model/infer", "infer"),
        (b"/v2/models/my%20model/versions/3", "model"),
        (b"/v2/models/my%20model/versions/3/ready", "model_ready"),
        (b"/v2/models/my%20model/versions/3/infer", "infer"),
        (b"/invocations", "invocations"),
        (b"/ping", "ping"),
        (b"/health", "ping"),
        (b"/version", "version"),
        (b"/metrics", "metrics"),
    ],
)
def test_a_path_is_found(path, found):
    assert routes.find(path, "my model", "3") == found


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (b"/v3", "there is nothing at /v3"),
        (b"/v2/models", "there is nothing at"),
        (b"/v2/models/other/infer", "model 'other' is not served here, 'my model' is"),
        (b"/v2/models/my%20model/versions/4", "version '4' is not served here, '3' is"),
        (b"/v2/models/my%20model/stats", "there is no 'stats' of a model"),
        (b"/v2/models/my%20model%2Finfer", "model 'my model/infer' is not served here"),
    ],
)
def test_a_path_that_is_not_there_says_what_is(path, said):
    with pytest.raises(routes.NoSuchPath) as raised:
        routes.find(path, "my model", "3")
    assert said in str(raised.value)


@pytest.mark.parametrize(("text", "clean"), CASES)
def test_secrets_are_redacted_and_the_rest_is_left(text, clean):
    assert redact(text) == clean


@given(
    st.sampled_from(["password", "token", "secret", "key", "API_KEY", "Db-Password"]),
    st.text(st.characters(categories=["L", "N"]), min_size=12, max_size=20),
)
def test_no_value_with_a_secret_name_stays(name, value):
    assert value not in redact(f"cannot open x://u:{value}@h/p with {name}={value}")


def test_metrics_are_written_as_prometheus_reads_them():
    counter = metrics.Counter("c_total", "Counts.", ("code",))
    counter.add("200")
    counter.add('a"b\\c\n', amount=2)
    histogram = metrics.Histogram("h_seconds", "Times.", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 5.0):
        histogram.observe(value)
    gauge = metrics.Gauge("g", "Now.", lambda: 3)
    info = metrics.Info("i", "Facts.", model="m")
    assert metrics.text([counter, histogram, gauge, info]).splitlines() == [
        "# HELP c_total Counts.",
        "# TYPE c_total counter",
        'c_total{code="200"} 1',
        'c_total{code="a\\"b\\\\c\\n"} 2',
        "# HELP h_seconds Times.",
        "# TYPE h_seconds histogram",
        'h_seconds_bucket{le="0.1"} 2',
        'h_seconds_bucket{le="1"} 3',
        'h_seconds_bucket{le="+Inf"} 4',
        "h_seconds_sum 5.65",
        "h_seconds_count 4",
        "# HELP g Now.",
        "# TYPE g gauge",
        "g 3",
        "# HELP i Facts.",
        "# TYPE i gauge",
        'i{model="m"} 1',
    ]


def test_the_state_file_shows_the_state_redacted_and_on_one_line(tmp_path):
    path = tmp_path / "state.json"
    state = StateFile(str(path))
    assert json.loads(path.read_text())["phase"] == "starting"
    state.change(phase="failed", reason="LoadError", message="no\n password=abc")
    shown = json.loads(path.read_text())
    assert (shown["phase"], shown["reason"]) == ("failed", "LoadError")
    assert shown["message"] == "no password=[redacted]"
    assert list(tmp_path.iterdir()) == [path]


def test_the_state_file_is_written_on_change_only(tmp_path):
    path = tmp_path / "state.json"
    state = StateFile(str(path))
    before = path.stat().st_ino
    state.change(phase="starting")
    assert path.stat().st_ino == before


MINIMAL = {
    "predictor": "p",
    "model": "m",
    "model_version": "1",
    "artifact": "/a",
    "python": "/p",
    "host": "127.0.0.1",
    "port": 1,
    "state_file": "/s",
}


def test_a_predictor_file_needs_little_and_ignores_what_it_does_not_know(tmp_path):
    path = tmp_path / "predictor.json"
    path.write_text(json.dumps({**MINIMAL, "colour": "red", "batching": {"enabled": False}}))
    found = predictor.read(str(path))
    assert found.batching == predictor.Batching(enabled=False, max_rows=256)
    assert found.memory_bytes is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": ""}, "'model'"),
        ({"port": "x"}, "'port'"),
        ({"port": True}, "'port'"),
        ({"python": None}, "'python'"),
        ({"admin_port": 8080, "port": 8080}, "'admin_port'"),
        ({"timeout_seconds": "60"}, "'timeout_seconds'"),
        ({"timeout_seconds": 0}, "'timeout_seconds'"),
        ({"memory_bytes": -1}, "'memory_bytes'"),
        ({"batching": "on"}, "'batching'"),
        ({"batching": {"enabled": "yes"}}, "'batching.enabled'"),
        ({"batching": {"max_rows": "many"}}, "'batching.max_rows'"),
        ({"batching": {"max_rows": 0}}, "'batching.max_rows'"),
    ],
)
def test_a_predictor_file_names_the_field_that_is_wrong(tmp_path, change, said):
    path = tmp_path / "predictor.json"
    path.write_text(json.dumps({**MINIMAL, **change}))
    with pytest.raises(predictor.BadPredictor, match=said) as raised:
        predictor.read(str(path))
    assert raised.value.hint


def test_a_predictor_file_that_is_not_there_or_not_json_is_said(tmp_path):
    with pytest.raises(predictor.BadPredictor, match="cannot be read"):
        predictor.read(str(tmp_path / "none.json"))
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(predictor.BadPredictor, match="not a JSON object"):
        predictor.read(str(tmp_path / "list.json"))


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ({"kind": "torchserve", "url": "http://127.0.0.1:1"}, "'backend.kind' must be 'tfserving'"),
        ({"kind": "tfserving", "url": "grpc://127.0.0.1:1"}, "'backend.url' must be an address"),
        ({"kind": "tfserving"}, "'backend.url' must be an address"),
    ],
)
def test_a_backend_that_cannot_be_is_refused(tmp_path, backend, said):
    fields = ("predictor", "model", "model_version", "artifact", "host", "state_file")
    path = tmp_path / "predictor.json"
    path.write_text(json.dumps(dict.fromkeys(fields, "x") | {"port": 1, "backend": backend}))
    with pytest.raises(predictor.BadPredictor, match=said):
        predictor.read(str(path))
