"""One rendering serves predictors that differ in what a chart only writes down."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st
from support import ROOT

from deployer.targets.kubernetes.render.charts import Charts, RenderError
from deployer.targets.kubernetes.render.placeholders import ANNOTATION, blank, paths_of

CHART = "model-server"
PATHS = paths_of(yaml.safe_load((ROOT / "helm" / CHART / "Chart.yaml").read_text())["annotations"])
ODD = ("1e3", "0x1f", "017", "yes", "null", "~", ".5", "-", "1:2", "a: b", " ", "'", '"', "\\n",
       "x7d3f1c90b5-0x", "X7D3F1C90B5/1X", "{{ .Values }}", "<é&>", "s3://b/k", "https://a/b?c=d",
       "mlflow-artifacts:/1/models/m-2", "registry:5000/a@sha256:" + "1" * 64)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(ODD), st.text(min_size=1, max_size=70))
LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?", fullmatch=True)


@pytest.fixture(scope="module")
def plain(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """The same chart, which says nothing of what it only writes down."""
    copied = tmp_path_factory.mktemp("charts")
    shutil.copytree(folder / CHART, copied / CHART)
    path = copied / CHART / "Chart.yaml"
    about = yaml.safe_load(path.read_text())
    del about["annotations"][ANNOTATION]
    path.write_text(yaml.safe_dump(about))
    return Charts(copied)


def outcome(charts: Charts, release: str, values: dict[str, Any]) -> Any:
    try:
        return charts.render(CHART, release, "somewhere", values)
    except RenderError as error:
        return str(error)


@pytest.mark.parametrize("case", ["default", "everything", "by-hand"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_it_is_the_rendering_of_the_values_themselves(
    charts: Charts, plain: Charts, values_of: Any, case: str, data: st.DataObject
) -> None:
    values = values_of(CHART, case)
    release = data.draw(LABELS)
    for path in PATHS:
        _, *outer, last = path.split(".")
        if path.startswith("Values.") and data.draw(st.booleans()):
            drawn = TEXTS if last not in ("deployment", "predictor") else st.one_of(LABELS, TEXTS)
            holder = values if not outer else values.setdefault(outer[0], {})
            holder[last] = data.draw(drawn)
    assert outcome(charts, release, values) == outcome(plain, release, values)


def test_predictors_that_differ_in_names_have_the_same_blanks(values_of: Any) -> None:
    values = values_of(CHART)
    first, second = (
        blank({"Values": values | {"predictor": name, "image": f"a/{name}@sha256:1"}}, PATHS)
        for name in ("iris-v1", "fish-v22")
    )
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_a_refusal_names_the_value_and_no_placeholder(charts: Charts, values_of: Any) -> None:
    with pytest.raises(RenderError, match='predictor is "Iris"'):
        charts.render(CHART, "Iris", "somewhere", values_of(CHART, predictor=""))


def test_a_chart_that_says_nothing_gets_its_values_as_they_are(values_of: Any) -> None:
    tree = {"Values": values_of("seldon")}
    assert paths_of({}) == ()
    assert blank(tree, ()) == (tree, [])
