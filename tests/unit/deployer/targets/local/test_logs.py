from pathlib import Path

from deployer.targets.local.processes import read_logs


def test_the_last_lines_of_a_predictor(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("first\nsecond\nthird\n")
    (tmp_path / "another.log").write_text("not ours\n")
    assert read_logs(tmp_path, "one", 2) == "second\nthird\n"
    assert read_logs(tmp_path, "none", 2) == ""


def test_each_replica_is_headed_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("a\n")
    (tmp_path / "one.2.log").write_text("b\n")
    assert read_logs(tmp_path, "one", 5) == "==> one <==\na\n==> one.2 <==\nb\n"


def test_a_link_that_a_model_put_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "one.log").symlink_to(tmp_path / "secret")
    (folder / "one.2.log").write_text("b\n")
    assert read_logs(folder, "one", 5) == "b\n"
