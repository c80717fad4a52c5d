"""Every query of the dashboards, answered by a real Prometheus that scrapes a real model server."""

from __future__ import annotations

import json
import math
import re
import subprocess

import httpx
import pytest
from support import ROOT
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems.prometheus import Prometheus, program, running_prometheus
from support.systems.rabbitmq import running_rabbitmq

VARIABLES = {"$__rate_interval": "10s", "$environment": ".*", "$model": "iris|actor|nothing"}
QUEUES = "queues"
TENSOR = {"name": "x", "datatype": "FP64", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}


def boards():
    for path in sorted((ROOT / "helm/schnitzel/dashboards").glob("*.json")):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


def filled_in(query):
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


def queries(*, of_queues=False):
    """The queries about model servers, or those about queues, by board, panel and letter."""
    return {
        f"{name}: {panel['title']} {target['refId']}": filled_in(target["expr"])
        for name, board in boards()
        for panel in board["panels"]
        for target in panel["targets"]
        if "schnitzel_predictor_info" in target["expr"] and (name == QUEUES) == of_queues
    }


def has_value(prometheus: Prometheus, query: str, model: str = "iris") -> bool:
    samples = prometheus.query(query)
    assert all(each["metric"].get("model", model) == model for each in samples)
    return any(math.isfinite(float(each["value"][1])) for each in samples)


@pytest.mark.timeout(600)
def test_every_query_of_the_dashboards_has_an_answer(serve, tmp_path):
    server = serve("iris", admin_port=free_port()).ready()
    asked, empty = queries(), set(queries())
    assert len(asked) >= 20
    # Its two listeners pass for two servers of one model: queries must not mix them up.
    both = [f"127.0.0.1:{server.predictor[port]}" for port in ("port", "admin_port")]
    with running_prometheus(tmp_path, *both) as prometheus:

        def all_answered():
            assert server.infer(TENSOR).status_code == 200
            assert server.invoke({"inputs": [["no number"]]}).status_code == 400
            empty.clear()
            empty.update(n for n, query in asked.items() if not has_value(prometheus, query))
            return not empty

        try:
            wait_for(all_answered, "a value of each query", seconds=120, every=0.5)
        except AssertionError as error:
            raise AssertionError(f"no value of {sorted(empty)}") from error
        for _, board in boards():
            for variable in board["templating"]["list"]:
                if variable["type"] == "query":
                    found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
                    assert found
                    values = {each[found[2]] for each in prometheus.series(filled_in(found[1]))}
                    assert values == {server.predictor[found[2]]}


@pytest.mark.timeout(600)
def test_every_query_about_queues_has_an_answer(serve, tmp_path):
    asked, empty = queries(of_queues=True), set(queries(of_queues=True))
    assert len(asked) >= 6
    body = {"dataframe_split": {"columns": ["act", "number"], "data": [["say", 1.0]]}}
    with running_rabbitmq() as broker:
        url = tmp_path / "broker-url"
        url.write_text(broker.url())
        results = [{"routing_key": "out"}]
        queue = {"source": "in", "results": results, "dead_letter": "dead", "url_file": str(url)}
        server = serve("actor", queue=queue, admin_port=free_port())
        wait_for(lambda: server.state.get("reason") == "QueueMissing", "a trouble")
        broker.declare("in", "out", "dead")
        server.ready()
        with running_prometheus(tmp_path, f"127.0.0.1:{server.predictor['port']}") as prometheus:

            def all_answered():
                broker.send("in", json.dumps(body).encode(), b"no question")
                empty.clear()
                empty.update(
                    n for n, query in asked.items() if not has_value(prometheus, query, "actor")
                )
                return not empty

            try:
                wait_for(all_answered, "a value of each query", seconds=120, every=0.5)
            except AssertionError as error:
                raise AssertionError(f"no value of {sorted(empty)}") from error


@pytest.mark.timeout(600)
def test_the_metrics_are_as_promtool_wants_them(serve, tmp_path):
    server = serve("iris", admin_port=free_port()).ready()
    assert server.infer(TENSOR).status_code == 200
    page = httpx.get(f"http://127.0.0.1:{server.predictor['admin_port']}/metrics", trust_env=False)
    command = [program("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=page.text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
