"""Make a cluster's authority, a certificate for each component, and kubeconfigs."""

import base64
import json
import subprocess
from pathlib import Path

from stack.files import keep
from testcluster.layout import API_SERVICE_IP, NODE, NODE_IP, Layout

_DAYS = "3650"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
_SERVICE_NAMES = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
_API_NAMES = ["localhost", *_SERVICE_NAMES, "kubernetes.default.svc.cluster.local"]
_API_ADDRESSES = ["127.0.0.1", NODE_IP, API_SERVICE_IP]
# Component: its subject, by which Kubernetes knows who it is (kubernetes.io, "PKI certificates").
_SUBJECTS = {
    "apiserver": "/CN=kube-apiserver",
    "apiserver-kubelet": "/O=system:masters/CN=kube-apiserver-kubelet-client",
    "front-proxy": "/CN=front-proxy",
    "admin": "/O=system:masters/CN=admin",
    "kcm": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "proxy": "/CN=system:kube-proxy",
    "coredns": "/O=system:masters/CN=testcluster-coredns",
    "traefik": "/O=system:masters/CN=testcluster-traefik",
    "prometheus": "/O=system:masters/CN=testcluster-prometheus",
}
_WITHOUT_KUBECONFIG = {"apiserver", "apiserver-kubelet", "front-proxy", "prometheus"}
_NAMES = {
    "apiserver": [f"DNS:{name}" for name in _API_NAMES] + [f"IP:{ip}" for ip in _API_ADDRESSES],
    "kubelet": [f"DNS:{NODE}", f"IP:{NODE_IP}"],
}


def ensure(layout: Layout) -> None:
    """Make what is missing of keys, certificates and kubeconfigs."""
    layout.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = layout.pki / "ca.crt"
    if not authority.exists():
        _openssl(
            *("req", "-x509", *_KEY, "-nodes", "-days", _DAYS),
            *("-subj", "/CN=schnitzel-testcluster"),
            *("-keyout", str(layout.pki / "ca.key"), "-out", str(authority)),
        )
    accounts = layout.pki / "service-accounts.pub"
    if not accounts.exists():
        key = str(layout.pki / "service-accounts.key")
        _openssl("ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", key)
        _openssl("ec", "-in", key, "-pubout", "-out", str(accounts))
    for name, subject in _SUBJECTS.items():
        if not (layout.pki / f"{name}.crt").exists():
            _sign(layout.pki, name, subject)
    for name in _SUBJECTS.keys() - _WITHOUT_KUBECONFIG:
        own = layout.state / "config" / f"{name}.kubeconfig"
        path = layout.kubeconfig if name == "admin" else own
        keep(path, _kubeconfig(layout, name))


def _sign(pki: Path, name: str, subject: str) -> None:
    request, certificate, extension = (pki / f"{name}.{end}" for end in ("csr", "crt.new", "ext"))
    lines = ["extendedKeyUsage=serverAuth,clientAuth"]
    if name in _NAMES:
        lines.append("subjectAltName=" + ",".join(_NAMES[name]))
    extension.write_text("\n".join(lines) + "\n")
    _openssl(
        *("req", *_KEY, "-nodes", "-subj", subject),
        *("-keyout", str(pki / f"{name}.key"), "-out", str(request)),
    )
    _openssl(
        *("x509", "-req", "-in", str(request), "-days", _DAYS, "-extfile", str(extension)),
        *("-CA", str(pki / "ca.crt"), "-CAkey", str(pki / "ca.key"), "-CAcreateserial"),
        *("-out", str(certificate)),
    )
    request.unlink()
    extension.unlink()
    certificate.rename(pki / f"{name}.crt")


def _kubeconfig(layout: Layout, name: str) -> str:
    def inline(file: str) -> str:
        return base64.b64encode((layout.pki / file).read_bytes()).decode()

    cluster = {"server": layout.url("apiserver", "https")}
    cluster["certificate-authority-data"] = inline("ca.crt")
    user = {
        "client-certificate-data": inline(f"{name}.crt"),
        "client-key-data": inline(f"{name}.key"),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testcluster", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "testcluster", "context": {"cluster": "testcluster", "user": name}}],
        "current-context": "testcluster",
    }
    return json.dumps(document, indent=1) + "\n"


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
