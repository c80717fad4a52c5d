"""Bring up the node: containerd, kubelet, kube-proxy, Ready."""

import json
import subprocess
from pathlib import Path

from testcluster import cgroups, images, roots
from testcluster.kubectl import kubectl
from testcluster.layout import (
    DNS_SERVICE_IP,
    NODE,
    NODE_IP,
    POD_BRIDGE,
    POD_NETWORK,
    Layout,
)
from testcluster.programs import Program, answers, ensure

_CNI_PLUGINS = "/usr/lib/cni"  # Debian's containernetworking-plugins


def up(layout: Layout) -> list[str]:
    """Start what does not run.

    Returns:
        The names of the programs started.
    """
    cgroups.make(layout.cgroup)
    started = ensure(layout, containerd(layout))
    images.ensure_pause(layout)
    return started + ensure(layout, _kubelet(layout), _proxy(layout))


def socket(layout: Layout) -> Path:
    """The containerd of the node."""
    return layout.run / "containerd.sock"


def containerd(layout: Layout) -> Program:
    """Describe containerd with the plugin that kubelets speak to."""
    hosts = _registry_hosts(layout)
    cni = layout.config("cni/10-pods.conflist", _cni(layout))
    root = roots.folder(layout, "containerd")
    config = layout.config(
        "containerd.toml",
        f"""\
version = 2
root = "{root}"
state = "{layout.run}/containerd"
oom_score = 0
[grpc]
  address = "{socket(layout)}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.pause(layout)}"
  # A machine without CAP_SYS_RESOURCE must not be asked to protect a process from the OOM killer.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{_CNI_PLUGINS}"
    conf_dir = "{cni.parent}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{hosts}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
""",
    )
    return Program(
        "containerd",
        ["containerd", "--config", config],
        lambda: _containerd_answers(layout),
        reads=[config],
        outlived=True,
    )


def _containerd_answers(layout: Layout) -> bool:
    command = ["ctr", "-a", str(socket(layout)), "plugins", "ls", "id==cri"]
    seen = subprocess.run(command, check=False, capture_output=True, text=True)
    return seen.returncode == 0 and "ok" in seen.stdout


def _registry_hosts(layout: Layout) -> Path:
    """What containerd reads on a pull: the registry by either name is ours, over plain HTTP."""
    port, url = layout.ports["registry"], layout.url("registry")
    text = f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
    for name in (f"localhost:{port}", f"{NODE_IP}:{port}"):
        path = layout.config(f"registries/{name}/hosts.toml", text)
    return path.parents[1]


def _cni(layout: Layout) -> str:
    bridge = {
        "type": "bridge",
        "bridge": POD_BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": f"{layout.state}/cni",
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    # Where a Docker set the FORWARD chain to DROP, pods need a rule each.
    plugins = [bridge, portmap, {"type": "firewall"}]
    return json.dumps({"cniVersion": "1.0.0", "name": POD_BRIDGE, "plugins": plugins}, indent=1)


def _kubelet(layout: Layout) -> Program:
    kubeconfig, folder = layout.state / "config/kubelet.kubeconfig", layout.state / "kubelet"
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_IP,
        "port": layout.ports["kubelet"],
        "healthzPort": layout.ports["kubelet-healthz"],
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{layout.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{layout.pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{layout.pki}/kubelet.key",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "containerRuntimeEndpoint": f"unix://{socket(layout)}",
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE_IP],
        "volumePluginDir": f"{folder}/volume-plugins",
        "podLogsDir": f"{layout.state}/pod-logs",
        "maxPods": 200,
        "serializeImagePulls": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        # Disks of test machines are full, and their owners know.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
    }
    config = layout.config("kubelet.json", json.dumps(settings, indent=1))
    command: list[str | Path] = [
        layout.bin / "kubelet",
        f"--kubeconfig={kubeconfig}",
        f"--config={config}",
        f"--root-dir={folder}",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_IP}",
    ]
    return Program("kubelet", command, lambda: _node_ready(layout), reads=[config, kubeconfig])


def _node_ready(layout: Layout) -> bool:
    path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    seen = kubectl(layout, "get", "node", NODE, path, check=False)
    return seen.stdout == "True"


def _proxy(layout: Layout) -> Program:
    kubeconfig = layout.state / "config/proxy.kubeconfig"
    health = f"127.0.0.1:{layout.ports['proxy-healthz']}"
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "mode": "iptables",
        "clusterCIDR": POD_NETWORK,
        "hostnameOverride": NODE,
        "healthzBindAddress": health,
        "metricsBindAddress": f"127.0.0.1:{layout.ports['proxy-metrics']}",
        # The machine's own limits on connections stay as they are.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "100ms", "localhostNodePorts": False},
        "oomScoreAdj": 0,
    }
    config = layout.config("proxy.json", json.dumps(settings, indent=1))
    command: list[str | Path] = [layout.bin / "kube-proxy", f"--config={config}"]
    return Program(
        "proxy", command, lambda: answers(f"http://{health}/livez"), reads=[config, kubeconfig]
    )
