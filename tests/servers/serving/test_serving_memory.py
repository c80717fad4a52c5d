"""The memory of a model's process and of all that it started."""

import mmap
import subprocess
import sys
from pathlib import Path

import pytest
from support.run.wait import wait_for

from serving.backends import memory

HOLD = """
import os, sys, time
own = bytearray(40 << 20)
for place in range(0, len(own), 4096): own[place] = 1
if os.fork() == 0:
    if {touch}:
        more = bytearray(40 << 20)
        for place in range(0, len(more), 4096): more[place] = 1
    print("child", flush=True)
    sys.stdin.read()
    os._exit(0)
sys.stdin.read()
"""


@pytest.fixture
def holding():
    """Start a process with a child that holds memory, shared with it or of its own."""
    started = []

    def start(*, touch):
        program = [sys.executable, "-c", HOLD.format(touch=touch)]
        started.append(
            subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        assert started[-1].stdout.readline() == "child\n"
        return started[-1].pid

    yield start
    for each in started:
        each.communicate()


def test_children_count(holding):
    pid = holding(touch=True)
    assert len(memory.family(pid)) == 2
    assert memory.resident(pid) > 120 << 20
    assert memory.exceeds(pid, 70 << 20) > 80 << 20
    assert memory.exceeds(pid, 200 << 20) == 0


def test_what_a_child_shares_counts_once(holding):
    pid = holding(touch=False)
    assert memory.resident(pid) > 80 << 20
    assert memory.exceeds(pid, 70 << 20) == 0
    assert memory.exceeds(pid, 30 << 20) > 40 << 20


def test_a_process_that_has_ended_takes_nothing():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    wait_for(lambda: not Path(f"/proc/{done.pid}").exists(), "its end")
    assert memory.family(done.pid) == [done.pid]
    assert memory.resident(done.pid) == memory.exceeds(done.pid, mmap.PAGESIZE) == 0
