import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from support.run.wait import wait_for
from support.systems.package_index import PackageIndex

from deployer.errors import EnvironmentUnbuildable, PythonUnavailable
from deployer.python_env.cache import EnvironmentRequest, Environments, EnvironmentState

ROOT = Path(__file__).resolve().parents[4]
PYTHON = ".".join(str(part) for part in sys.version_info[:3])


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PackageIndex]:
    with closing(PackageIndex()) as served:
        served.publish("leaf", "1.0")
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        yield served


@pytest.fixture
def environments(tmp_path: Path, index: PackageIndex) -> Iterator[Environments]:
    with closing(Environments(tmp_path / "cache")) as made:
        yield made


def request(*requirements: str, python: str = PYTHON) -> EnvironmentRequest:
    return EnvironmentRequest(python, requirements)


def settled(environments: Environments, wanted: EnvironmentRequest) -> EnvironmentState:
    def look() -> EnvironmentState | None:
        state = environments.ensure(wanted)
        return None if state.phase == "building" else state

    return wait_for(look, "the environment to be built, or not", 120)


def imported(state: EnvironmentState, module: str = "leaf") -> list[str]:
    assert state.python is not None, state
    code = f"import sys, {module} as m; print(m.VERSION, m.__file__, sys.version.split()[0])"
    done = subprocess.run(
        [state.python, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_an_environment_is_built_and_holds_what_was_asked_for(
    environments: Environments, tmp_path: Path, index: PackageIndex
) -> None:
    index.publish("branch", "2.0", needs="leaf<2")
    first = environments.ensure(request("branch==2.0"))
    assert first.phase == "building"
    state = settled(environments, request("branch==2.0"))
    assert state.error is None
    version, file, python = imported(state)
    assert (version, python) == ("1.0", PYTHON)
    assert state.version == PYTHON
    assert Path(file).is_relative_to(tmp_path / "cache" / "environments" / state.lock)
    assert state.log is not None
    assert "branch==2.0" in state.log.read_text()
    (lock,) = (tmp_path / "cache" / "locks").glob("*.txt")
    assert lock.read_text().count("--hash=sha256:") == 2
    assert index.url not in lock.read_text()


def test_it_is_there_at_once_for_the_next_process_without_an_index(
    environments: Environments, tmp_path: Path, index: PackageIndex
) -> None:
    built = settled(environments, request("leaf==1.0"))
    index.close()
    with closing(Environments(tmp_path / "cache")) as others:
        state = others.ensure(request("leaf==1.0"))
    assert (state.phase, state.python) == ("ready", built.python)


def test_the_same_requirements_get_the_same_packages_ever_after(
    environments: Environments, tmp_path: Path, index: PackageIndex
) -> None:
    before = settled(environments, request("leaf"))
    index.publish("leaf", "2.0")
    assert before.python is not None
    subprocess.run(["rm", "-r", before.python.parent.parent], check=True)
    again = settled(environments, request("leaf"))
    assert imported(again)[0] == "1.0"
    assert again.lock == before.lock


def test_equal_locks_share_one_environment(environments: Environments, index: PackageIndex) -> None:
    one = settled(environments, request("leaf"))
    other = settled(environments, request("leaf==1.0"))
    assert one.python == other.python
    assert len(index.downloads) == 1


def test_a_missing_package_is_named_and_not_asked_for_again(
    environments: Environments, index: PackageIndex
) -> None:
    wanted = request("leaf==1.0", "absent-thing==3")
    state = settled(environments, wanted)
    assert isinstance(state.error, EnvironmentUnbuildable)
    assert "absent-thing==3" in state.error.message
    assert state.log is not None
    assert str(state.log) in state.error.hint
    assert not state.error.transient
    asked = index.requests
    assert environments.ensure(wanted).phase == "failed"
    assert index.requests == asked
    index.publish("absent_thing", "3")
    index.wheels["absent-thing-3-py3-none-any.whl"] = b""
    environments.forget(wanted)
    assert environments.ensure(wanted).phase == "building"


def test_an_index_that_is_down_is_a_passing_cause(
    environments: Environments, index: PackageIndex
) -> None:
    index.close()
    state = settled(environments, request("leaf==1.0"))
    assert isinstance(state.error, EnvironmentUnbuildable)
    assert state.error.transient
    assert "the package index does not answer" in state.error.message
    assert "Is the package index up" in state.error.hint


def test_a_python_that_is_not_here_is_said_so(environments: Environments) -> None:
    state = settled(environments, request("leaf", python="3.4.2"))
    assert isinstance(state.error, PythonUnavailable)
    assert "Python 3.4" in state.error.message


def test_another_patch_of_the_same_minor_serves(environments: Environments) -> None:
    state = settled(environments, request("leaf", python="3.11.99"))
    assert (state.phase, state.version) == ("ready", PYTHON)


def carried(folder: Path, index: PackageIndex, version: str) -> EnvironmentRequest:
    """A model that brings a wheel along, which needs a package of the index."""
    index.publish("carried", version, needs="leaf")
    wheel = f"carried-{version}-py3-none-any.whl"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / wheel).write_bytes(index.wheels.pop(wheel))
    (folder / "requirements.txt").write_text(f"code/{wheel}\n")
    (folder / "python_env.yaml").write_text(f"python: {PYTHON}")
    return EnvironmentRequest.read(folder)


def test_a_wheel_of_the_model_is_installed_by_its_digest(
    environments: Environments, tmp_path: Path, index: PackageIndex
) -> None:
    model = tmp_path / "model"
    wanted = carried(model, index, "0.1")
    environments.ensure(wanted, model)
    state = settled(environments, wanted)
    assert state.error is None
    assert imported(state, "carried")[0] == "0.1"
    assert imported(state)[0] == "1.0"
    (lock,) = (tmp_path / "cache" / "locks").glob("*.txt")
    (wheel,) = wanted.wheels
    assert f"--hash=sha256:{wheel.sha256}" in lock.read_text()
    assert str(tmp_path) not in lock.read_text()

    other = tmp_path / "other"
    changed = carried(other, index, "0.1.post1")
    (other / "code" / "carried-0.1.post1-py3-none-any.whl").rename(other / wheel.path)
    (other / "requirements.txt").write_text(f"{wheel.path}\n")
    assert EnvironmentRequest.read(other).key not in (wanted.key, changed.key)

    # Built again from its lock, as after a collection, of the same wheel alone.
    assert environments.folders.remove(state.lock, time.time() + 1, lambda: False) == ""
    environments.forget(wanted)
    environments.ensure(wanted, other)
    refused = settled(environments, wanted)
    assert refused.error is not None
    assert "code/carried-0.1-py3-none-any.whl is not among the model's files" in str(refused.error)
    environments.forget(wanted)
    environments.ensure(wanted, model)
    assert settled(environments, wanted).lock == state.lock


def test_closing_ends_a_build_and_leaves_nothing_that_looks_finished(
    environments: Environments, tmp_path: Path, index: PackageIndex
) -> None:
    index.hold.clear()
    environments.ensure(request("leaf==1.0"))
    assert index.reached.wait(60)
    environments.close()  # while the index still holds what the build asked for
    assert not index.hold.is_set()
    assert [p for p in psutil.Process().children() if "uv" in p.name()] == []
    assert [p for p in (tmp_path / "cache" / "environments").iterdir() if p.is_dir()] == []
    index.hold.set()
    with closing(Environments(tmp_path / "cache")) as others:
        assert settled(others, request("leaf==1.0")).phase == "ready"


BUILD = """
import sys, time
from pathlib import Path
from deployer.python_env.cache import EnvironmentRequest, Environments
environments = Environments(Path(sys.argv[1]))
wanted = EnvironmentRequest(sys.argv[2], ("leaf==1.0",))
while (state := environments.ensure(wanted)).python is None:
    assert state.error is None, state.error
    time.sleep(0.02)
"""


def build_elsewhere(cache: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", BUILD, str(cache), PYTHON]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True)


def test_two_processes_build_once(
    tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_NO_CACHE", "1")  # so that a second build would download again
    builders = [build_elsewhere(tmp_path / "cache") for _ in range(2)]
    assert [builder.wait(60) for builder in builders] == [0, 0]
    assert index.downloads == ["leaf-1.0-py3-none-any.whl"]


def test_a_builder_killed_in_mid_build_is_taken_over_from(
    tmp_path: Path, index: PackageIndex
) -> None:
    index.hold.clear()
    builder = build_elsewhere(tmp_path / "cache")
    assert index.reached.wait(60)
    running = psutil.Process(builder.pid).children()
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait(10)
    with closing(Environments(tmp_path / "cache")) as others:
        assert others.ensure(request("leaf==1.0")).phase == "building"
        index.hold.set()
        state = settled(others, request("leaf==1.0"))
    assert imported(state)[0] == "1.0"
    folder = tmp_path / "cache" / "environments"
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [state.lock]
    # Ended; whoever became its parent may not have read its exit status yet.
    assert all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in running)


def test_a_real_package_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = os.environ.get("SCHNITZEL_CACHE") or Path.home() / ".cache" / "schnitzel"
    monkeypatch.setenv("UV_CACHE_DIR", str(Path(shared, "uv")))
    with closing(Environments(tmp_path)) as environments:
        state = settled(environments, request("iniconfig==2.0.0", "six==1.16.0"))
        assert state.error is None
        broken = settled(environments, request("six==1.16.0", "six==1.17.0"))
    assert state.python is not None
    subprocess.run([state.python, "-I", "-c", "import six, iniconfig"], check=True)
    assert isinstance(broken.error, EnvironmentUnbuildable)
    assert "six" in broken.error.message


def test_an_environment_that_was_removed_is_built_again_from_its_lock(
    environments: Environments, index: PackageIndex
) -> None:
    before = settled(environments, request("leaf"))
    folders = environments.folders
    (found,) = folders.all()
    assert (found.path.name, found.python) == (before.lock, PYTHON)
    assert found.size > 0
    assert environments.find(request("leaf")) == before.lock
    index.publish("leaf", "2.0")
    assert folders.remove(before.lock, time.time() + 1, lambda: False) == ""
    assert folders.all() == []
    assert environments.find(request("leaf")) == ""
    again = settled(environments, request("leaf"))
    assert again.lock == before.lock
    assert imported(again)[0] == "1.0"


def test_an_environment_that_was_asked_for_meanwhile_is_not_removed(
    environments: Environments,
) -> None:
    state = settled(environments, request("leaf"))
    (found,) = environments.folders.all()
    os.utime(found.path.with_suffix(".used"), (1, 1))
    environments.ensure(request("leaf"))
    refused = environments.folders.remove(state.lock, time.time() - 60, lambda: False)
    assert refused == "it was asked for meanwhile"
    assert imported(state)


def test_who_runs_in_an_environment_is_seen_whichever_platform_started_it(
    environments: Environments,
) -> None:
    state = settled(environments, request("leaf"))
    command = [str(state.python), "-c", "print('up', flush=True); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as other:  # type: ignore[call-overload]
        other.stdout.readline()
        assert environments.folders.processes() == {f"process {other.pid}": state.lock}
        other.communicate(b"\n")
    assert environments.folders.processes() == {}
