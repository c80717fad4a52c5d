"""The few files of a version that the Deployer itself reads."""

import hashlib
from contextlib import closing
from pathlib import Path

from support.run.wait import wait_for

from deployer.artifacts.cache import Artifacts
from deployer.artifacts.metadata import SmallFiles
from deployer.artifacts.requirements import EnvironmentRequest
from deployer.state.registry import VersionId

WHEEL = "pkg-0.1-py3-none-any.whl"
INDEX = "https://packages.example/simple"


def test_what_requirements_name_is_read_and_of_a_wheel_the_digest_is_kept(tmp_path: Path) -> None:
    model = tmp_path / "model"
    files = {
        "MLmodel": "flavors: {}",
        "model.pkl": "weights",
        "python_env.yaml": "python: 3.11.7",
        "requirements.txt": f"-r more/base.txt\n--extra-index-url {INDEX}\nsix\n",
        "more/base.txt": f"code/{WHEEL}\n-c bounds.txt\n",
        "more/bounds.txt": "six<2\n",
        f"code/{WHEEL}": "a wheel",
    }
    for name, content in files.items():
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text(content)
    version = VersionId("m", 1, 1)
    with (
        closing(Artifacts(tmp_path / "cache", "http://127.0.0.1:9")) as artifacts,
        closing(SmallFiles(artifacts, tmp_path / "small", [INDEX])) as small,
    ):
        asked = wait_for(lambda: small.request(version, str(model)).result, "the requirements")
        folder = small.ensure(version, str(model)).result or Path()
    # The same as where all files are: what is built for one is found for the other.
    assert asked == EnvironmentRequest.read(model, [INDEX])
    assert asked.wheels[0].sha256 == hashlib.sha256(b"a wheel").hexdigest()
    assert asked.constraints == ("six<2",)
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert kept == {*files, f"code/{WHEEL}.sha256"} - {"model.pkl", f"code/{WHEEL}"}
