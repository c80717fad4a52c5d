"""Make the node's bridge, and remove every trace of its network.

Rules are removed by kube-proxy's, the kubelet's and the CNI plugins' own prefixes, and no others.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from testcluster.layout import NODE_BRIDGE, NODE_NETWORK, POD_BRIDGE

_CHAIN = re.compile(r"^:(\S+) ")
_OURS = re.compile(r"KUBE-|CNI-")


def up() -> None:
    """Make the bridge that carries the node's address; let packets between it and the pods pass."""
    if not _exists(NODE_BRIDGE):
        _ip("link", "add", NODE_BRIDGE, "type", "bridge")
    if NODE_NETWORK not in _ip("-o", "address", "show", "dev", NODE_BRIDGE):
        _ip("address", "add", NODE_NETWORK, "dev", NODE_BRIDGE)
    _ip("link", "set", NODE_BRIDGE, "up")
    _sysctl("net/ipv4/ip_forward")
    # Without it, an answer between two pods of the bridge passes by the translation of a Service.
    _sysctl("net/bridge/bridge-nf-call-iptables")


def down() -> None:
    """Remove bridges, the pods' interfaces and all rules."""
    if _exists(POD_BRIDGE):
        for link in json.loads(_ip("-j", "link", "show", "master", POD_BRIDGE) or "[]"):
            # The kernel may delete it at this moment, with its pod's namespace.
            with suppress(subprocess.CalledProcessError):
                _ip("link", "delete", link["ifname"])
    for bridge in (POD_BRIDGE, NODE_BRIDGE):
        if _exists(bridge):
            _ip("link", "delete", bridge)
    for tool in ("iptables", "ip6tables"):
        if shutil.which(f"{tool}-save"):
            _remove_rules(tool)


def rules() -> list[str]:
    """The chains of a Kubernetes node that are there now."""
    if not shutil.which("iptables-save"):
        return []
    lines = _output("iptables-save").splitlines()
    return [found[1] for line in lines if (found := _CHAIN.match(line)) and _OURS.match(found[1])]


def _remove_rules(tool: str) -> None:
    script = "\n".join(_removal(_output(f"{tool}-save"))) + "\n"
    if "COMMIT" in script:
        subprocess.run([f"{tool}-restore", "--noflush"], input=script, text=True, check=True)


def _removal(saved: str) -> Iterator[str]:
    """What `iptables-restore` has to read, table by table, to forget the node's rules."""
    for table in re.split(r"^(?=\*)", saved, flags=re.MULTILINE)[1:]:
        lines = table.splitlines()
        chains = [found[1] for line in lines if (found := _CHAIN.match(line))]
        ours = [chain for chain in chains if _OURS.match(chain)]
        others = [
            line
            for line in lines
            if line.startswith("-A ") and line.split()[1] not in ours and _OURS.search(line)
        ]
        if ours or others:
            yield lines[0]
            # Declaring a chain empties it, so that one chain may then go before another.
            yield from (f":{chain} - [0:0]" for chain in ours)
            yield from (f"-D {line.removeprefix('-A ')}" for line in others)
            yield from (f"-X {chain}" for chain in ours)
            yield "COMMIT"


def _exists(link: str) -> bool:
    shown = subprocess.run(["ip", "link", "show", "dev", link], check=False, capture_output=True)
    return shown.returncode == 0


def _sysctl(name: str) -> None:
    path = Path("/proc/sys") / name
    if path.exists() and path.read_text().strip() != "1":
        path.write_text("1")


def _ip(*arguments: str) -> str:
    return _output("ip", *arguments)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
