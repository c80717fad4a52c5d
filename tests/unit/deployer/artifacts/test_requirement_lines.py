"""What requirements files say, in every form that pip reads."""

from pathlib import Path
from typing import Any

import pytest

from deployer.artifacts.requirement_lines import address, read
from deployer.artifacts.requirements import missing_packages
from deployer.errors import UnsupportedDependencies
from deployer.python_env.cache import EnvironmentRequest

INDEX = "https://packages.example/simple"
WHEEL = "pkg-0.1-py3-none-any.whl"


def request(folder: Path, text: str, **more: Any) -> EnvironmentRequest:
    folder.mkdir(exist_ok=True)
    for name, content in {"python_env.yaml": "python: 3.11.7", **more.pop("files", {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "requirements.txt").write_text(text)
    return EnvironmentRequest.read(folder, **more)


FORMS = [
    "six==1.16.0",
    "six == 1.16.0  # why",
    "#six",
    "six#no-comment",
    "six>=1,\\\n<2",
    "six>=1, \\\n# a comment ends it\nleaf",
    "six \\",
    "six ; python_version < '4' and sys_platform == 'linux'",
    "six[extra,more]==1; extra == 'x'",
    "six==1 --hash=sha256:00 \\\n --hash sha256:11",
    "pkg @ https://files.example/pkg-1-py3-none-any.whl#sha256=00",
    "https://files.example/pkg-1-py3-none-any.whl ; python_version > '3'",
    f"-i {INDEX}\nsix",
    f"-i{INDEX}\nsix",
    f"--index-url={INDEX}\nsix",
    f"--index-url '{INDEX}'\nsix",
    f"--extra-index {INDEX}\nsix",
    f"--extra-index-url {INDEX} --extra-index-url={INDEX}/two --no-index\nsix",
    f"--find-links {INDEX}\n-f{INDEX}/two\nsix",
    "--trusted-host packages.example\n--prefer-binary\n--only-binary :all:\nsix",
    "\ufeffsix\r\n\r\n  leaf\r\n",
]


@pytest.mark.parametrize("text", FORMS)
def test_lines_are_those_that_pip_reads(text: str, tmp_path: Path) -> None:
    from pip._internal.req.req_file import RequirementsFileParser, get_line_parser

    path = tmp_path / "requirements.txt"
    path.write_text(text, newline="")
    parser = RequirementsFileParser(None, get_line_parser(None))  # type: ignore[arg-type]
    theirs = list(parser.parse(str(path), constraint=False))
    ours = list(read(path.read_text(encoding="utf-8-sig")))
    assert [line.requirement for line in ours if line.requirement] == [
        line.requirement for line in theirs if line.is_requirement
    ]
    for option, name in (
        ("--extra-index-url", "extra_index_urls"),
        ("--find-links", "find_links"),
        ("--trusted-host", "trusted_hosts"),
    ):
        said = [value for line in ours for key, value in line.options if key == option]
        assert said == [url for line in theirs for url in getattr(line.opts, name, None) or []]
    said = [value for line in ours for key, value in line.options if key == "--index-url"]
    assert said == [line.opts.index_url for line in theirs if line.opts.index_url]


def test_an_index_is_left_out_with_a_sentence_unless_an_operator_allowed_it(
    tmp_path: Path,
) -> None:
    text = (
        f"-i {INDEX}/\n--extra-index-url https://other.example/simple\n"
        "--find-links ./wheels\n--trusted-host other.example\nsix\n"
    )
    none = request(tmp_path, text)
    assert none.options == ()
    assert none.requirements == ("six",)
    assert [note.partition(":")[0] for note in none.notes] == [
        "The line '-i https",
        "The line '--extra-index-url https",
        "The line '--find-links ./wheels' of the model's requirements was left out",
        "The line '--trusted-host other.example' of the model's requirements was left out",
    ]
    assert "limits.package_indexes in platform.yaml" in none.notes[0]
    one = request(tmp_path, text, indexes=["https://PACKAGES.example:443/simple"])
    assert one.options == (f"--index-url {INDEX}/",)
    assert len(one.notes) == 3
    assert one.key != none.key
    # What was left out has no part in the environment.
    assert none.key == request(tmp_path, "six").key


@pytest.mark.parametrize(
    "url",
    [
        f"{INDEX}/two",
        "http://packages.example/simple",
        "https://packages.example:8443/simple",
        "https://packages.example.evil.example/simple",
        f"{INDEX}?to=https://evil.example",
        "https://packages.example/simple/../other",
        "https://evil.example/@packages.example/simple",
        "https://[::1/simple",
        "file:///simple",
        "https://packages.example:x/simple",
        "",
    ],
)
def test_only_the_very_address_is_allowed(tmp_path: Path, url: str) -> None:
    found = request(tmp_path, f"--extra-index-url '{url}'\nsix", indexes=[INDEX])
    assert found.options == ()
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    "login",
    [
        "ann:s3cret",
        "s3cret",
        "ann:s3@cret",
        "ann:s3/cret",
        "ann:${s3cret}",
        "${S3CRET}",
        "a:1@s3cret",
    ],
)
@pytest.mark.parametrize(
    "line",
    [
        "--extra-index-url https://{}@packages.example/simple",
        "--extra-index-url=https://{}@packages.example/simple",
        "-ihttps://{}@packages.example/simple",
        "pkg @ https://{}@packages.example/pkg-1-py3-none-any.whl",
        "https://{}@packages.example/pkg-1-py3-none-any.whl",
        "pkg@git+https://{}@packages.example/pkg.git",
        "-e git+https://{}@packages.example/pkg.git#egg=pkg",
        "-r https://{}@packages.example/more.txt",
        "--unknown=https://{}@packages.example/",
        "--find-links https://{}@packages.example/ 'unclosed",
    ],
)
def test_a_login_goes_nowhere(tmp_path: Path, line: str, login: str) -> None:
    try:
        found = request(tmp_path, f"{line.format(login)}\nsix", indexes=[INDEX])
    except UnsupportedDependencies as error:
        said = f"{error.message} {error.hint}"
    else:
        said = repr(found)
        assert found.notes
    assert "packages.example" in said
    assert "cret" not in said.lower()


def test_a_token_in_a_query_is_not_shown(tmp_path: Path) -> None:
    found = request(tmp_path, f"--extra-index-url {INDEX}?token=s3cret\nsix")
    assert "s3cret" not in repr(found)


def test_an_allowed_index_is_asked_without_the_models_login(tmp_path: Path) -> None:
    text = "-i https://ann:s3cret@packages.example/simple\nsix"
    found = request(tmp_path, text, indexes=[INDEX])
    assert found.options == (f"--index-url {INDEX}",)
    assert "login" in found.notes[0]


def test_included_files_are_read_beside_the_file_that_names_them(tmp_path: Path) -> None:
    files = {
        "more/base.txt": "leaf==1\n-c bounds.txt\n-r ../requirements.txt\n",
        "more/bounds.txt": "leaf<2\n--extra-index-url https://other.example/simple\n",
    }
    found = request(tmp_path, "six\n--requirement=more/base.txt\n", files=files)
    assert found.requirements == ("leaf==1", "six")
    assert found.constraints == ("leaf<2",)
    assert len(found.notes) == 1


def test_a_wheel_of_the_model_is_a_requirement_with_its_digest(tmp_path: Path) -> None:
    text = f"code/{WHEEL}\n./code/{WHEEL}[fast] ; python_version > '3'\nsix"
    found = request(tmp_path, text, files={f"code/{WHEEL}": "one"})
    assert found.requirements == (
        f"./wheels/{WHEEL}",
        f"./wheels/{WHEEL}[fast] ; python_version > '3'",
        "six",
    )
    (wheel,) = found.wheels
    assert (wheel.path, wheel.name) == (f"code/{WHEEL}", WHEEL)
    again = request(tmp_path / "again", text, files={f"code/{WHEEL}": "one"})
    other = request(tmp_path / "other", text, files={f"code/{WHEEL}": "two"})
    assert found.key == again.key
    assert found.key != other.key


@pytest.mark.parametrize("line", [f"pkg @ ./code/{WHEEL}", f"pkg[fast]@code/{WHEEL}"])
def test_a_wheel_may_be_named(tmp_path: Path, line: str) -> None:
    found = request(tmp_path, line, files={f"code/{WHEEL}": "one"})
    assert found.requirements[0].endswith(f" @ ./wheels/{WHEEL}")


def test_a_wheel_is_known_by_the_digest_that_was_written_down_for_it(tmp_path: Path) -> None:
    whole = request(tmp_path / "one", f"wheels/{WHEEL}", files={f"wheels/{WHEEL}": "one"})
    (wheel,) = whole.wheels
    digests = {f"wheels/{WHEEL}.sha256": wheel.sha256}
    assert request(tmp_path / "other", f"wheels/{WHEEL}", files=digests) == whole


def test_what_a_models_requirements_name_is_found_step_by_step(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r more.txt\nsix\n")
    assert missing_packages(tmp_path) == {"more.txt"}
    (tmp_path / "more.txt").write_text(f"code/{WHEEL}\n-c ../outside.txt\n")
    assert missing_packages(tmp_path) == {f"code/{WHEEL}"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("hg+https://code.example/pkg", "names a repository"),
        ("pkg @ git+ssh://git@code.example/pkg.git ; python_version > '3'", "names a repository"),
        ("--editable=.", "names a working copy"),
        ("code/pkg-0.1.tar.gz", "is no wheel"),
        ("pkg-0.1.zip", "is no wheel"),
        ("pkg.whl", "is no wheel"),
        ("code/absent-0.1-py3-none-any.whl", "not among the model's files"),
        ("/srv/pkg-0.1-py3-none-any.whl", "not among the model's"),
        ("../pkg-0.1-py3-none-any.whl", "not among the model's"),
        ("link/pkg-0.1-py3-none-any.whl", "not among the model's"),
        ("pkg @ file:code/pkg-0.1-py3-none-any.whl", "not among the model's"),
        ("-r https://files.example/more.txt", "not among the model's"),
        ("-r link/more.txt", "not among the model's"),
        ("--pre", "before its release"),
        ("six --global-option=x", "option for the build"),
        ("six -C a=b", "option for the build"),
        ("six==${VERSION}", "names a variable"),
        ("--quiet", "cannot be read as pip reads it"),
        ("--no-index=1", "cannot be read as pip reads it"),
        ("-r", "cannot be read as pip reads it"),
        ("--index-url 'x", "cannot be read as pip reads it"),
        ("--no-index six", "cannot be read as pip reads it"),
    ],
)
def test_what_cannot_be_had_is_refused_by_its_line_with_a_next_step(
    tmp_path: Path, line: str, says: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in (WHEEL, "more.txt"):
        (outside / name).write_text("six")
    model = tmp_path / "model"
    model.mkdir()
    (model / "link").symlink_to(outside)
    with pytest.raises(UnsupportedDependencies) as caught:
        request(model, f"leaf\n{line}\n")
    assert line.rsplit(maxsplit=1)[-1] in caught.value.message
    assert says in caught.value.message
    assert caught.value.hint


def test_two_wheels_of_one_name_are_refused(tmp_path: Path) -> None:
    files = {f"code/{WHEEL}": "one", f"wheels/{WHEEL}": "two"}
    with pytest.raises(UnsupportedDependencies, match="two different wheels"):
        request(tmp_path, f"code/{WHEEL}\nwheels/{WHEEL}\n", files=files)


def test_addresses_are_written_in_one_way() -> None:
    assert address("HTTPS://Packages.Example:443/simple/") == INDEX
    assert address("https://u:p@packages.example/simple") == INDEX
    assert address("http://[::1]:8080/simple") == "http://[::1]:8080/simple"
