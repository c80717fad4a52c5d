"""Run etcd, the API server with an audit log, controller manager and scheduler."""

from pathlib import Path

from testcluster import certificates
from testcluster.layout import (
    NODE_IP,
    POD_NETWORK,
    SERVICE_NETWORK,
    Layout,
)
from testcluster.programs import Program, answers, ensure

# Every request, without bodies. A watch is one line when it begins; RequestReceived would
# write each request twice.
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
"""


def up(layout: Layout) -> list[str]:
    """Start what does not run.

    Returns:
        The names of the programs started.
    """
    certificates.ensure(layout)
    started = ensure(layout, _etcd(layout))
    started += ensure(layout, _apiserver(layout))
    others = [_controller_manager(layout)]
    if not layout.control_plane_only:
        others.append(_scheduler(layout))
    return started + ensure(layout, *others)


def _etcd(layout: Layout) -> Program:
    client = f"http://127.0.0.1:{layout.ports['etcd']}"
    peer = f"http://127.0.0.1:{layout.ports['etcd-peer']}"
    command: list[str | Path] = [
        *(layout.bin / "etcd", "--data-dir", layout.state / "etcd"),
        *("--logger=zap", "--log-level=warn"),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"default={peer}"),
        "--unsafe-no-fsync",  # what a test leaves behind may be lost with the power
        "--quota-backend-bytes=8589934592",  # 10,000 models of a benchmark pass etcd's 2 GB
    ]
    return Program("etcd", command, lambda: answers(f"{client}/health"))


def _apiserver(layout: Layout) -> Program:
    pki, policy = layout.pki, layout.config("audit-policy.yaml", _AUDIT_POLICY)
    command: list[str | Path] = [
        layout.bin / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{layout.ports['etcd']}",
        f"--bind-address={layout.address}",
        f"--advertise-address={NODE_IP}",
        f"--secure-port={layout.ports['apiserver']}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",  # PodSecurity is among the defaults
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",  # the node's name is in no DNS
        "--allow-privileged=true",
        f"--requestheader-client-ca-file={pki}/ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
        "--enable-aggregator-routing=true",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-maxsize=1000",  # MB; the tests of one run fit into one file
        "--audit-log-maxbackup=1",
        "--profiling=false",
    ]
    url = layout.url("apiserver", "https") + "/readyz"
    return Program("apiserver", command, lambda: answers(url, pki / "ca.crt"), reads=[policy])


def _controller_manager(layout: Layout) -> Program:
    config, pki, port = layout.state / "config/kcm.kubeconfig", layout.pki, layout.ports["kcm"]
    command: list[str | Path] = [
        layout.bin / "kube-controller-manager",
        *_component_flags(config, port),
        f"--service-account-private-key-file={pki}/service-accounts.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        "--use-service-account-credentials",
        f"--cluster-cidr={POD_NETWORK}",
    ]
    return _component("kcm", command, port, config, pki)


def _scheduler(layout: Layout) -> Program:
    config, pki = layout.state / "config/scheduler.kubeconfig", layout.pki
    port = layout.ports["scheduler"]
    command: list[str | Path] = [
        layout.bin / "kube-scheduler",
        *_component_flags(config, port),
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
    ]
    return _component("scheduler", command, port, config, pki)


def _component_flags(kubeconfig: Path, port: int) -> list[str]:
    flags = ("--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig")
    return [
        *(f"{flag}={kubeconfig}" for flag in flags),
        *("--bind-address=127.0.0.1", f"--secure-port={port}", "--leader-elect=false"),
    ]


def _component(name: str, command: list[str | Path], port: int, config: Path, pki: Path) -> Program:
    url = f"https://127.0.0.1:{port}/healthz"
    return Program(name, command, lambda: answers(url, pki / "ca.crt"), reads=[config])
