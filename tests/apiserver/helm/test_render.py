"""Rendering in process is `helm template`, faster."""

import json
import re
import subprocess

import helm_python
import pytest
import yaml


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


def sources(text):
    """Each file's own bytes in what helm printed; a file of several documents is joined again."""
    found = {}
    for part in re.split(r"^---\n# Source: ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        found.setdefault(name, []).append(body.strip("\n"))
    return {name: sorted(bodies) for name, bodies in found.items()}


def test_it_gives_the_same_bytes_as_helm(template, folder, values_of, release, chart, case):
    name, namespace = release
    with helm_python.Chart.load(folder / chart) as loaded:
        files = loaded.render(values_of(chart, case), name=name, namespace=namespace)
    ours = {
        path: sorted(
            body.strip("\n")
            for body in re.split(r"^---$", text, flags=re.MULTILINE)
            if body.strip()
        )
        for path, text in files.items()
        if text.strip() and not path.endswith("NOTES.txt")
    }
    assert ours == sources(template(chart, case))


def test_it_gives_the_same_manifests_in_the_same_order_as_helm(template, render, chart, case):
    theirs = [part for part in yaml.safe_load_all(template(chart, case)) if part]
    ours = render(chart, case)
    assert [m["kind"] for m in ours] == [m["kind"] for m in theirs]
    assert sorted(map(as_text, ours)) == sorted(map(as_text, theirs))


def as_text(manifest):
    return json.dumps(manifest, sort_keys=True)
