"""The lanes: where each one's tests are, what it needs, how many workers it gets."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Lane:
    """A folder of tests that cost alike.

    Attributes:
        name: what people call it.
        paths: folders, and tests in them, for pytest.
        says: what it is, in a few words.
        usually: minutes that it takes on two cores, beside the others.
        workers: processes of pytest.
        needs: "control plane" or "node", if it cannot be without.
        light: whether it runs beside others, before those that keep the machine busy.
        beside: whether the lanes that follow it run beside it.
        again: whether a test that fails is run once more, alone.
        options: more words for pytest.
    """

    name: str
    paths: tuple[str, ...]
    says: str
    usually: str
    workers: int = 2
    needs: str = ""
    light: bool = False
    beside: bool = False
    again: bool = True
    options: tuple[str, ...] = ()


UNIT = Lane("unit", ("tests/unit",), "starts nothing", "4 min", light=True, again=False)
APISERVER = Lane(
    "apiserver",
    ("tests/apiserver",),
    "a Kubernetes API server without a node; helm",
    "6 min",
    needs="control plane",
    light=True,
    again=False,
)
SERVERS = Lane(
    "servers",
    ("tests/servers",),
    "MLflow, Airflow, gateway, model servers",
    "14 min",
    workers=3,
)
SMOKE = Lane("smoke", ("tests/node/smoke",), "the main paths, in pods", "6 min", needs="node")
NODE = Lane(
    "node",
    ("tests/node",),
    "a Kubernetes node and pods",
    "10 min",
    workers=3,
    needs="node",
    options=("--ignore=tests/node/smoke",),
)
KILLS = Lane(
    "kills",
    ("tests/nightly/contract",),
    "every target's stories, and a kill at every write",
    "30 min",
    workers=5,  # they wait for pods, and hardly compute
    needs="node",
)
LAPTOP = Lane(
    "laptop",
    (
        "tests/nightly/compose",
        "tests/nightly/dags",
        "tests/nightly/deployer/rollout",
        "tests/nightly/e2e/test_golden_path.py",
        "tests/nightly/images",
        "tests/nightly/serving",
        "tests/nightly/stack",
    ),
    "that of nightly which needs no node: compose, flavours, fuzz",
    "45 min",
    workers=1,
    beside=True,  # those that follow wait for pods, and leave half of the machine
)
NIGHTLY = Lane(
    "nightly",
    ("tests/nightly",),
    "the rest of nightly: matrix, scale, whole-node faults",
    "25 min",
    workers=1,
    needs="node",
    options=tuple(f"--ignore={path}" for path in (*KILLS.paths, *LAPTOP.paths)),
)
SAMPLE = "sample"
"""Some tests of nightly, in place of all."""

SETS = {
    "test": (UNIT, APISERVER, SERVERS, SMOKE),
    "node": (NODE,),
    "guard": (UNIT, APISERVER, SERVERS, replace(NODE, options=(), usually="14 min")),
    "all": (
        *(UNIT, APISERVER, SERVERS, replace(NODE, options=(), usually="14 min")),
        *(LAPTOP, KILLS, NIGHTLY),
    ),
}
"""What `make test`, `make test-node`, `.ci/run` and `make test-all` run."""

LANES = {
    lane.name: lane for lane in (UNIT, APISERVER, SERVERS, SMOKE, NODE, LAPTOP, KILLS, NIGHTLY)
}


def chosen(words: list[str]) -> list[Lane]:
    """Find the lanes of a command's words.

    Raises:
        KeyError: a word is neither a set's name nor a lane's.
    """
    found: dict[str, Lane] = {}
    for word in words:
        for lane in SETS.get(word) or (LANES[word],):
            found.setdefault(lane.name, lane)
    return list(found.values())
