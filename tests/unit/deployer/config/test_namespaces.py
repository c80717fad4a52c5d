import re

import pytest
from hypothesis import given, strategies as st

from deployer.namespaces import MAX_LENGTH, check_environment, check_template, expand

TEMPLATES = ["{environment}", "{project}-{environment}", "{project}", "ml-{project}-x", "models"]
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(
    lambda name: not name.startswith("kube-")
)


@pytest.mark.parametrize(
    ("template", "project", "expected"),
    [
        ("{environment}", "anything at all", "prod"),
        ("{project}-{environment}", "angler", "angler-prod"),
        ("ml-{environment}-{project}", "angler", "ml-prod-angler"),
        ("{project}", "kube-system", "system-88007f70666d"),
    ],
)
def test_a_template_is_filled(template: str, project: str, expected: str) -> None:
    assert expand(template, "prod", project) == expected


def test_a_project_that_is_no_label_becomes_one_and_stays_distinct() -> None:
    one, other = (
        expand("{project}-{environment}", "prod", name) for name in ("Größe 1", "Größe!1")
    )
    assert one != other
    assert one.startswith("gr-e-1-")
    assert one.endswith("-prod")


def test_a_project_cannot_be_called_like_anothers_hash() -> None:
    hashed = expand("{project}", "prod", "Team A")
    assert expand("{project}", "prod", hashed) != hashed


@given(st.sampled_from(TEMPLATES), names, st.text())
def test_whatever_a_project_is_called_the_namespace_is_a_name_and_not_the_clusters_own(
    template: str, environment: str, project: str
) -> None:
    check_template(template)
    check_environment(template, environment)
    filled = expand(template, environment, project)
    assert len(filled) <= MAX_LENGTH
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", filled)
    assert not filled.startswith("kube-")


@given(st.text(max_size=80), st.text(max_size=80))
def test_two_projects_never_share_a_namespace(one: str, other: str) -> None:
    template = "{project}-{environment}"
    assert (expand(template, "prod", one) == expand(template, "prod", other)) == (one == other)


@pytest.mark.parametrize(
    "template", ["{team}", "a_b", "-{project}", "{project}-", "{project}{project}", "", "kube-x"]
)
def test_a_template_that_makes_no_namespace_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="should"):
        check_template(template)
