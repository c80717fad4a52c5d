"""What a served version is installed with."""

import re

from angler.train import requirements


def test_the_model_is_served_with_exact_versions_of_what_it_needs():
    found = requirements()
    assert all(re.fullmatch(r"[a-z-]+==[0-9][0-9.a-z]*", line) for line in found)
    names = {line.partition("==")[0] for line in found}
    assert {"mlflow", "keras", "numpy", "pandas"} <= names
    assert names & {"tensorflow", "tensorflow-cpu"}
