"""`status` and its next step; `open`; `predict` and what it says of the version that answered."""


def test_an_attached_mlflow_is_where_platform_yaml_says(schnitzel, home) -> None:
    (home / "platform.yaml").write_text("mlflow: {url: 'http://tracking.example:5000/'}\n")
    assert schnitzel("open", "mlflow", "--print").out == "http://tracking.example:5000/\n"
