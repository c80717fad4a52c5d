"""Rendering in process is `helm template`, faster."""

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployer.targets.kubernetes.render.charts import Charts, RenderError


@pytest.fixture
def template(helm, folder, values_of, release, tmp_path):
    """What `helm template` prints for a case."""

    def run(chart, case):
        path = tmp_path / "values.json"
        path.write_text(json.dumps(values_of(chart, case)))
        name, namespace = release
        command = [helm, "template", name, folder / chart, "-n", namespace, "-f", path]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run


def test_a_caller_may_change_what_it_got(render):
    first = render("model-server")
    first[0]["metadata"]["labels"].clear()
    first.clear()
    assert render("model-server")[0]["metadata"]["labels"]


def test_the_order_of_values_makes_no_difference(charts, values_of, release):
    values = values_of("model-server")
    name, namespace = release
    backwards = dict(reversed(values.items()))
    assert charts.render("model-server", name, namespace, backwards) == charts.render(
        "model-server", name, namespace, values
    )


def test_threads_do_not_get_in_one_anothers_way(folder, values_of):
    charts = Charts(folder)
    values = values_of("model-server")

    def name_of(number):
        name = f"p{number}"
        manifests = charts.render("model-server", "x", "y", values | {"predictor": name})
        return name, {m["metadata"]["name"] for m in manifests}

    with ThreadPoolExecutor(8) as pool:
        for name, found in pool.map(name_of, range(100)):
            assert found == {name}


def test_large_numbers_stay_whole(render, one):
    text = one(render("model-server", "everything"), "ConfigMap")["data"]["predictor.json"]
    assert json.loads(text)["max_body_bytes"] == 104857600
    assert '"max_body_bytes": 104857600' in text


def test_a_value_that_is_none_is_the_charts_own(render):
    assert render("model-server", autoscaling=None) == render("model-server")


def test_texts_cannot_become_other_fields(render, one):
    hostile = 'x"\nspec:\n  hostNetwork: true # {{ .Values }}'
    rendered = render("model-server", model=hostile, annotations={"note": hostile})
    pods = one(rendered, "Deployment")["spec"]["template"]["spec"]
    assert "hostNetwork" not in pods
    assert one(rendered, "Service")["metadata"]["annotations"]["schnitzel.dev/model"] == hostile
    assert one(rendered, "Service")["metadata"]["annotations"]["note"] == hostile
    text = one(rendered, "ConfigMap")["data"]["predictor.json"]
    assert json.loads(text)["model"] == hostile


def test_a_chart_that_is_not_there_is_named(charts):
    with pytest.raises(RenderError, match="no chart nothing") as refused:
        charts.render("nothing", "x", "y", {})
    assert refused.value.hint


def test_a_broken_chart_is_named(tmp_path):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "Chart.yaml").write_text("name: [")
    with pytest.raises(RenderError, match="odd cannot be loaded"):
        Charts(tmp_path).render("odd", "x", "y", {})


def test_a_broken_template_is_an_error_of_ours(tmp_path):
    folder = tmp_path / "odd"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: odd, version: 1.0.0}")
    (folder / "values.schema.json").write_text("{}")
    (folder / "templates" / "a.yaml").write_text("a: {{ .Values.b.c }}")
    with pytest.raises(RenderError, match="nil pointer"):
        Charts(tmp_path).render("odd", "x", "y", {})


def test_a_version_is_the_charts(charts):
    assert charts.version("model-server") == "0.2.0"


@pytest.mark.parametrize("chart", ["model-server", "schnitzel", "tfserving"])
def test_no_template_asks_for_anything_but_its_values(folder, chart):
    """Else a rendering could not be kept."""
    impure = (
        r"\b(lookup|now|date\w*|rand\w*|shuffle|uuidv4|gen\w+|derivePassword|env|getHostByName)\b"
    )
    for path in (folder / chart / "templates").iterdir():
        code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        called = re.findall(r"\{\{(.*?)\}\}", code, flags=re.DOTALL)
        words = [re.sub(r'"[^"]*"|\.[A-Za-z.]+', "", expression) for expression in called]
        assert not [word for word in words if re.search(impure, word)], path.name
