"""`deploy`: what it prints of the Deployer's answers, and its exit codes."""


def test_the_environments_are_known_while_the_deployer_is_down(schnitzel, home) -> None:
    (home / "ports.json").write_text('{"deployer": 1}')
    shown = schnitzel("env", "list", "-o", "json")
    assert shown.code == 0
    assert [each["name"] for each in shown.json["environments"]] == ["staging", "prod"]
