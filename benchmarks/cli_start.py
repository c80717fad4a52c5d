"""How long `schnitzel` takes to answer, beside a bare Typer program: medians of whole processes.

    python benchmarks/cli_start.py [ROUNDS]

Rounds are interleaved, so that a busy machine slows all of them alike. `status` looks at whatever
platform is in SCHNITZEL_HOME; start one first to measure what a user waits for.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
AIMS = {"schnitzel --help": 120, "schnitzel status": 300}
BARE_TYPER = """\
import typer

app = typer.Typer()


@app.command()
def hello(name: str = "world") -> None:
    print(f"Hello {name}")


app()
"""


def once(command: list[str], environment: dict[str, str]) -> float:
    """Run a command to its end and return the milliseconds that took."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def main(rounds: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE_TYPER)
        schnitzel = [sys.executable, "-c", "from cli.main import main; main()"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "bare Typer --help": [sys.executable, str(bare), "--help"],
            "bare Typer": [sys.executable, str(bare)],
            "schnitzel --help": [*schnitzel, "--help"],
            "schnitzel help exit-codes": [*schnitzel, "help", "exit-codes"],
            "schnitzel deploy --help": [*schnitzel, "deploy", "--help"],
            "schnitzel status": [*schnitzel, "status"],
        }
        for command in commands.values():
            once(command, environment)  # compiles modules and warms the disk's cache
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                taken[name].append(once(command, environment))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    base = medians["bare Typer --help"]
    print(f"medians of {rounds} processes, rounds interleaved")
    print(f"{'command':<27}{'ms':>6}{'min':>6}{'max':>6}{'/ bare Typer --help':>21}{'aim':>6}")
    for name, median in medians.items():
        low, high = min(taken[name]), max(taken[name])
        aim = AIMS.get(name, "")
        print(f"{name:<27}{median:>6.0f}{low:>6.0f}{high:>6.0f}{median / base:>21.2f}{aim:>6}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
