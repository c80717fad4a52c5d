import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.fixtures.settings import Write

from deployer.config import json_schema
from deployer.config.platform_id import platform_id
from deployer.config.secret_refs import credentials, resolve_secret
from deployer.config.services import Mlflow
from deployer.config.settings import Settings, load, main_settings
from deployer.errors import SettingsInvalid
from deployer.state.registry import Selector

ROOT = Path(__file__).resolve().parents[4]


def test_with_no_file_there_is_staging_and_prod(platform_home: Path) -> None:
    settings = load()
    assert list(settings.environments) == ["staging", "prod"]
    assert settings.selector("staging") == Selector("Staging", "staging")
    assert settings.selector("prod") == Selector("Production", "champion")
    assert settings.home == platform_home
    assert settings.mlflow.url is None
    assert settings.registry.poll == 1
    assert settings.rollout_policy("prod").retire_after == 600
    assert settings.layers("prod") == [("platform.yaml: defaults", {}), ("environment prod", {})]
    assert set(settings.origins.values()) == {"default"}


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        "mlflow: {port: 5001, username: ann}\n"
        "registry:\n  webhooks: off\n"
        "limits: {memory: 4Gi}\n"
        "airflow:\n"
    )
    monkeypatch.setenv("SCHNITZEL_MLFLOW__PORT", "5002")
    monkeypatch.setenv("SCHNITZEL_ENVIRONMENTS__PROD__ALIAS", "live")
    monkeypatch.setenv("SCHNITZEL_LIMITS__RUNTIMES", "[mlflow, seldon]")
    monkeypatch.setenv("SCHNITZEL_GATEWAY__URL", "")
    settings = load()
    assert settings.mlflow.port == 5002
    assert settings.mlflow.username == "ann"
    assert settings.registry.webhooks == "off"
    assert settings.environments["prod"].alias == "live"
    assert settings.environments["prod"].stage == "Production"
    assert settings.limits.runtimes == ["mlflow", "seldon"]
    assert settings.limits.memory == 4 * 1024**3
    assert settings.gateway.url is None
    origins = settings.origins
    assert origins["mlflow.port"] == "SCHNITZEL_MLFLOW__PORT"
    assert origins["mlflow.username"] == "platform.yaml"
    assert origins["environments.prod.alias"] == "SCHNITZEL_ENVIRONMENTS__PROD__ALIAS"
    assert origins["environments.prod.stage"] == "default"
    assert origins["limits.runtimes"] == "SCHNITZEL_LIMITS__RUNTIMES"
    assert origins["airflow.port"] == "default"


def test_a_file_that_names_environments_replaces_the_default_ones(write: Write) -> None:
    write(
        "defaults: {replicas: 2}\n"
        "environments:\n"
        "  on: {stage: production}\n"
        "  team-a: {alias: team_a, policy: {retire_after: 1h}, overlay: {timeout_seconds: 2m}}\n"
    )
    settings = load()
    assert list(settings.environments) == ["on", "team-a"]
    assert settings.selector("on") == Selector("Production", None)
    assert settings.rollout_policy("team-a").retire_after == 3600
    assert settings.layers("team-a") == [
        ("platform.yaml: defaults", {"replicas": 2}),
        ("environment team-a", {"timeout_seconds": 120}),
    ]


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("mlflo: {}", "line 1: mlflo is not a known field", "'mlflow'"),
        ("mlflow:\n  prot: 1", "line 2: mlflow.prot is not a known field", "'port'"),
        ("mlflow:\n  port: high", "line 2: mlflow.port should be a whole number, not", "Port of"),
        ("gateway: {port: 70000}", "gateway.port should be at most 65535, not 70000", "Port"),
        (
            "mlflow: {url: 'ftp://x'}",
            "mlflow.url should be an address",
            "The URL of an attached server",
        ),
        (
            "registry:\n  poll: fast",
            "line 2: registry.poll should be a duration",
            "The time between polls",
        ),
        ("registry: [1]", "line 1: registry should be a mapping", "The watch on the registry"),
        ("environments: {}", "environments", "places"),
        ("environments:\n  p: {}", "line 2: environments.p needs a stage or an alias", ""),
        ("environments: {p: {stage: Archived}}", "environments.p.stage should be", "stage"),
        ("environments: {p: {alias: latest}}", "MLflow reserves", "alias"),
        (
            "environments: {p: {stage: Staging, target: moon}}",
            "should be 'local' or 'kubernetes', not",
            "Where",
        ),
        ("environments: {P: {stage: Staging}}", "'P' cannot be the name", "places"),
        ("environments: {p: {alias: a, namespace: '{x}'}}", "namespace should be", "cluster"),
        (
            "environments:\n  a: {alias: x}\n  b: {alias: x}",
            "line 1: environments should differ in stage or alias; 'a' and 'b' do not",
            "places",
        ),
        (
            "environments:\n  p:\n    alias: a\n    overlay:\n      replica: 2",
            "line 5: environments.p.overlay.replica is not a known field",
            "Did you mean 'replicas'?",
        ),
        ("defaults: {replicas: 99}", "replicas is 99, but limits.replicas is 16", "raise"),
        ("policy: {max_retirement_share: 2}", "at most 1, not 2", "share"),
        ("a: [", "platform.yaml, line 1", "Correct the file."),
        ("- a", "line 1: should be a mapping", "Correct the file."),
    ],
)
def test_a_wrong_file_is_refused_with_the_line_the_field_and_a_remedy(
    write: Write, text: str, says: str, hint: str
) -> None:
    path = write(text)
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert str(path) in caught.value.message
    assert says in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "value", "says", "hint"),
    [
        ("SCHNITZEL_MLFLOW__PORT", "high", "SCHNITZEL_MLFLOW__PORT: mlflow.port should", "Port"),
        ("SCHNITZEL_MLFLOW__PROT", "1", "SCHNITZEL_MLFLOW__PROT: mlflow.prot is not", "'port'"),
        ("SCHNITZEL_MLFLO__PORT", "1", "there is no section 'mlflo'", "'mlflow'"),
        ("SCHNITZEL_LIMITS__RUNTIMES", "[a", "SCHNITZEL_LIMITS__RUNTIMES: ", "YAML"),
    ],
)
def test_a_wrong_variable_is_named(
    platform_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    says: str,
    hint: str,
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_another_file_can_be_named_and_must_then_exist(
    platform_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "team.yaml"
    monkeypatch.setenv("SCHNITZEL_PLATFORM", str(other))
    with pytest.raises(SettingsInvalid, match="does not exist"):
        load()
    other.write_text("mlflow: {url: 'http://mlflow.example:5000/'}")
    settings = load()
    assert settings.mlflow.url == "http://mlflow.example:5000"
    assert settings.origins["mlflow.url"] == "team.yaml"


def test_a_secret_is_never_repeated_in_an_error(write: Write) -> None:
    write("mlflow:\n  url: http://ann:hunter2@mlflow.example\n  password_ref: hunter2\n")
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert "hunter2" not in caught.value.message + caught.value.hint
    assert "env:NAME" in caught.value.message


def test_a_secret_is_read_from_where_its_reference_leads(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("s3 cret\n")
    assert resolve_secret(f"file:{path}") == "s3 cret"
    assert resolve_secret("env:PASS", {"PASS": "x"}) == "x"
    service = Mlflow(username="ann", password_ref="env:PASS")
    assert credentials(service, {"PASS": "x"}) == ("ann", "x")
    assert credentials(Mlflow(), {}) is None


@pytest.mark.parametrize("reference", ["env:NOT_THERE", "file:/not/there", "hunter2"])
def test_a_reference_that_leads_nowhere_says_where_it_looked(reference: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        resolve_secret(reference, {})
    assert "hunter2" not in caught.value.message
    assert caught.value.hint


def test_the_platform_id_is_made_once_however_many_ask(tmp_path: Path) -> None:
    path = tmp_path / "home" / "platform-id"
    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(lambda _: platform_id(path), range(64)))
    assert len(ids) == 1
    assert list(path.parent.iterdir()) == [path]
    assert platform_id(path) in ids


def test_an_emptied_platform_id_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "platform-id"
    path.write_text("")
    with pytest.raises(SettingsInvalid, match="is not one"):
        platform_id(path)


def test_models_are_included_and_excluded_by_pattern(write: Write) -> None:
    write("models: {include: ['fraud-*', Angler], exclude: ['*-test']}")
    serves = load().models.serves
    assert [serves(name) for name in ("fraud-eu", "Angler", "angler", "fraud-test")] == [
        True,
        True,
        False,
        False,
    ]


def test_settings_survive_being_printed_and_read_back(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("defaults: {replicas: 2}\nenvironments: {p: {alias: a, overlay: {max_body: 1Mi}}}")
    settings = load()
    assert main_settings(as_json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["defaults"] == {"replicas": 2}
    assert printed["environments"]["p"]["overlay"] == {"max_body": 1024**2}
    assert printed["origins"]["environments.p.overlay.max_body"] == "platform.yaml"
    assert Settings.model_validate(printed) == settings
    assert main_settings(as_json=False) == 0
    assert "mlflow.port = 5000  (default)" in capsys.readouterr().out


@pytest.mark.parametrize("name", json_schema.SCHEMAS)
def test_the_published_schema_is_current(name: str) -> None:
    path = ROOT / "docs" / "reference" / f"{name}.schema.json"
    assert path.read_text() == json_schema.render(name), (
        f"Run: python -m deployer schema {name} > docs/reference/{name}.schema.json"
    )


@pytest.mark.parametrize(
    "index",
    ["https://u:p@packages.example/simple", "packages.example", "https://a.example/?x=1", "*", ""],
)
def test_a_package_index_is_an_address_without_a_login(write: Write, index: str) -> None:
    write(f"limits: {{package_indexes: ['https://packages.example/simple', {index!r}]}}")
    with pytest.raises(SettingsInvalid, match=r"limits\.package_indexes") as caught:
        load()
    assert "u:p" not in str(caught.value)


def test_package_indexes_are_kept(write: Write) -> None:
    assert load().limits.package_indexes == []
    write("limits: {package_indexes: ['https://packages.example/simple']}")
    assert load().limits.package_indexes == ["https://packages.example/simple"]


def test_the_rabbitmq_of_up_is_the_default_broker(write: Write, platform_home: Path) -> None:
    write("components: [rabbitmq]\n")
    own = f"file:{platform_home}/secrets/rabbitmq-url"
    assert load().brokers["default"].url_ref == own
    assert list(load().queue_rules("prod", {}).access) == ["default"]
    write("components: [rabbitmq]\nbrokers: {default: {url_ref: env:OTHER}}\n")
    assert load().brokers["default"].url_ref == "env:OTHER"
    write("brokers: {team: {url_ref: env:OTHER}}\n")
    assert list(load().brokers) == ["team"]
