import subprocess
import sys
from pathlib import Path

from support.fixtures.settings import Write

ROOT = Path(__file__).resolve().parents[4]


def test_the_command_refuses_bad_settings_with_status_2(write: Write) -> None:
    write("mlflow: {prot: 1}")
    done = subprocess.run(
        [sys.executable, "-m", "deployer", "settings", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "\n\nhint: Did you mean 'port'?" in done.stderr
