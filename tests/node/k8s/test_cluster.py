"""The cluster of the tests is a real one: what we build on works in it unaided."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from support.kubernetes import pod_server as podserver
from support.run.wait import wait_for
from support.systems.cluster import Cluster


def base(cluster: Cluster) -> str:
    return f"{cluster.fact('registry_pull')}/base:bookworm"


def start(cluster: Cluster, namespace: str, *deployments: dict[str, Any]) -> None:
    """Apply Deployments with their Services and wait until all pods are ready."""
    names = [deployment["metadata"]["name"] for deployment in deployments]
    services = [podserver.service(name) for name in names]
    cluster.apply(*deployments, *services, namespace=namespace)
    for name in names:
        flags = ("-n", namespace, "--timeout=90s")
        cluster.kubectl("rollout", "status", f"deployment/{name}", *flags)


def python(cluster: Cluster, namespace: str, deployment: str, code: str) -> str:
    """Run Python in a pod of a Deployment; what it prints."""
    target = f"deployment/{deployment}"
    return cluster.kubectl("exec", "-n", namespace, target, "--", "python3", "-c", code)


def test_a_pod_reaches_a_service_by_its_name(cluster: Cluster, namespace: str) -> None:
    start(cluster, namespace, podserver.deployment("web", base(cluster), "hello", replicas=2))
    url = f"http://web.{namespace}.svc.cluster.local/"
    ask = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=5).read().decode())"

    def answer() -> str:
        done = cluster.run("exec", "-n", namespace, "deployment/web", "--", "python3", "-c", ask)
        return done.stdout.strip()

    assert wait_for(answer, "an answer by the Service's name", 15) == "hello"


def test_the_gateway_shares_requests_by_weight(cluster: Cluster, namespace: str) -> None:
    gateway, path = cluster.fact("gateway"), f"/{namespace}"
    start(
        cluster,
        namespace,
        podserver.deployment("old", base(cluster), "old"),
        podserver.deployment("new", base(cluster), "new"),
    )
    cluster.apply(podserver.route(path, gateway, {"old": 90, "new": 10}), namespace=namespace)
    with httpx.Client(base_url=cluster.fact("gateway_url"), trust_env=False) as client:
        wait_for(lambda: client.get(path).status_code == 200, "the route", 15)
        seen = Counter(client.get(path).text for _ in range(300))
    assert seen.keys() == {"old", "new"}
    assert 0.05 < seen["new"] / seen.total() < 0.15


def test_an_image_is_built_pushed_and_pulled_by_its_digest(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    image = f"{cluster.fact('registry_host')}/tests/{namespace}:1"
    (tmp_path / "Dockerfile").write_text(
        "FROM localhost/base:bookworm\nRUN echo built > /built\nUSER 65532:65532\n"
    )
    docker = ["docker", "--host", cluster.fact("docker_host")]
    build = [*docker, "build", "--network", "host", "-t", image, str(tmp_path)]
    for command in (build, [*docker, "push", image]):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    crane = [cluster.program("crane"), "digest", "--insecure", image]
    digest = subprocess.run(crane, check=True, capture_output=True, text=True).stdout.strip()

    pulled = f"{cluster.fact('registry_pull')}/tests/{namespace}@{digest}"
    start(cluster, namespace, podserver.deployment("own", pulled, "hello"))
    assert python(cluster, namespace, "own", "print(open('/built').read())").strip() == "built"
    subprocess.run([*docker, "rmi", "--force", image], check=False, capture_output=True)


def test_a_pod_that_may_run_as_root_is_refused(cluster: Cluster, namespace: str) -> None:
    pod = podserver.deployment("root", "any", "")["spec"]["template"]
    del pod["spec"]["securityContext"]["runAsNonRoot"]
    pod |= {"apiVersion": "v1", "kind": "Pod"}
    pod["metadata"]["name"] = "root"
    refused = cluster.run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(pod))
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr
    assert "runAsNonRoot" in refused.stderr


def test_the_audit_log_names_every_write(cluster: Cluster, namespace: str) -> None:
    log = Path(cluster.fact("audit_log"))
    with log.open() as file:
        file.seek(0, os.SEEK_END)
        name = {"name": "seen"}
        cluster.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": name}, namespace=namespace
        )
        events = [json.loads(line) for line in file]
    [event] = [
        event
        for event in events
        if event["verb"] == "patch"
        and event.get("objectRef", {}).get("namespace") == namespace
        and event["objectRef"].get("name") == "seen"
    ]
    assert event["user"]["username"] == "admin"
    assert "fieldManager=tests" in event["requestURI"]
    assert "requestObject" not in event


def test_prometheus_asks_our_pods(cluster: Cluster, namespace: str) -> None:
    url = cluster.fact("prometheus_url") + "/api/v1/query"
    start(cluster, namespace, podserver.deployment("web", base(cluster), "requests_seen 42\n"))
    query = {"query": f'requests_seen{{namespace="{namespace}"}}'}

    def value() -> str | None:
        found = httpx.get(url, params=query, trust_env=False).json()["data"]["result"]
        return found[0]["value"][1] if found else None

    assert wait_for(value, "the pod's metric in Prometheus", 30) == "42"


def test_what_a_pod_logs_to_mlflow_is_in_s3_and_postgres(cluster: Cluster, namespace: str) -> None:
    import boto3
    import psycopg

    mlflow = cluster.fact("mlflow_url")
    start(cluster, namespace, podserver.deployment("web", base(cluster), ""))
    name = f"from-a-pod-{namespace}"
    log = f"""
import json, urllib.request as u
def call(method, path, body, kind="application/json"):
    request = u.Request({mlflow!r} + path, body, {{"Content-Type": kind}}, method=method)
    return u.urlopen(request, timeout=30).read()
made = call("POST", "/api/2.0/mlflow/registered-models/create",
            json.dumps({{"name": {name!r}}}).encode())
call("PUT", "/api/2.0/mlflow-artifacts/artifacts/{name}/model.bin", b"weights",
     "application/octet-stream")
print(u.urlopen({cluster.fact("s3_endpoint")!r} + "/healthz", timeout=5).status)
"""
    assert python(cluster, namespace, "web", log).strip() == "200"

    keys = json.loads(Path(cluster.fact("s3_credentials")).read_text())
    s3 = boto3.client(
        "s3",
        endpoint_url=cluster.fact("s3_endpoint"),
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
        region_name=keys["region"],
    )
    stored = s3.get_object(Bucket="mlflow", Key=f"artifacts/{name}/model.bin")
    assert stored["Body"].read() == b"weights"
    dsn = Path(cluster.fact("postgres_dsn_file")).read_text().rpartition("/")[0] + "/mlflow"
    with psycopg.connect(dsn) as connection:
        found = connection.execute("select name from registered_models where name = %s", [name])
        assert found.fetchone() == (name,)
    httpx.request(
        "DELETE", f"{mlflow}/api/2.0/mlflow/registered-models/delete", json={"name": name}
    )
