"""A model whose requirements name a package index, before and after an operator allowed it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from support.run.wait import wait_for
from support.systems.package_index import PackageIndex

from deployer.artifacts.cache import Artifacts
from deployer.python_env.cache import Environments
from deployer.spec.model import ServingSpec
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.local.preparation import LocalPreparation, LocalPrepared


@pytest.fixture
def indexes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[PackageIndex, PackageIndex]]:
    with closing(PackageIndex()) as own, closing(PackageIndex()) as other:
        own.publish("leaf", "1.0")
        other.publish("branch", "2.0", needs="leaf")
        monkeypatch.setenv("UV_DEFAULT_INDEX", own.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        yield own, other


def prepared(folder: Path, requirements: str, allowed: list[str]) -> LocalPrepared:
    model = folder / "model"
    model.mkdir(parents=True)
    (model / "MLmodel").write_text("flavors: {}")
    (model / "python_env.yaml").write_text("python: '3.11'")
    (model / "requirements.txt").write_text(requirements)
    spec = ServingSpec(runtime="mlflow")
    version = VersionId("angler", 3, 1)
    predictor = Predictor("angler-prod-v3-1a", version, Role.CHAMPION, "1a", str(model), spec)
    with ExitStack() as stack:
        artifacts = stack.enter_context(closing(Artifacts(folder, "http://127.0.0.1:9")))
        environments = stack.enter_context(closing(Environments(folder)))
        preparation = LocalPreparation(artifacts, environments, time.time, allowed)

        def settled() -> LocalPrepared | None:
            found = preparation.ensure(predictor)
            return found if found.phase in (Phase.READY, Phase.FAILED) else None

        return wait_for(settled, "the environment to be built, or not", 120)


def test_what_an_index_has_is_installed_once_an_operator_allowed_it(
    indexes: tuple[PackageIndex, PackageIndex], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, other = indexes
    named = other.url.replace("://", "://ann:s3cret@")
    line = f"--extra-index-url {named}"
    refused = prepared(tmp_path / "refused", f"{line}\nbranch==2.0\n", [own.url])
    assert refused.error is not None
    assert "branch" in refused.error.message
    assert "was left out: no operator allowed this index" in refused.error.message
    assert "limits.package_indexes in platform.yaml" in refused.error.message
    assert other.requests == 0
    served = prepared(tmp_path / "served", f"{line}\nleaf==1.0\n", [])
    assert served.error is None
    assert "was left out: no operator allowed this index" in served.python_note
    allowed = prepared(tmp_path / "allowed", f"{line}\nbranch==2.0\n", [other.url])
    assert allowed.error is None
    assert other.downloads == ["branch-2.0-py3-none-any.whl"]
    assert "The login" in allowed.python_note
    assert "no operator" in caplog.text
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "model" not in path.parts]
    said = caplog.text + "".join(path.read_text(errors="replace") for path in written)
    assert "s3cret" not in f"{said} {refused} {served} {allowed}"
