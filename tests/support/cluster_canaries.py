"""A platform's secrets in a cluster, and where one turned up that no secret may be in.

Looked at are objects of every kind, events among them, what pods have said, the API server's audit
log, databases, and MLflow. Files, command lines and environments are this machine's, and the affair
of `support.canaries`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from deployer.config.secret_refs import resolve_secret
from support.canaries import FETCH, INDEX, STORE, Canaries
from support.systems.cluster import Cluster
from support.systems.mlflow import MlflowServer

PULL, PUSH = "RegistryPullPassword", "RegistryPushPassword"
REGISTRIES = {PULL: "registry_pull", PUSH: "registry_push"}
"""The fact that says where each password is asked for; the registry of the tests asks nobody."""

Object = dict[str, Any]


def settings(mark: str) -> dict[str, dict[str, str]]:
    """What a cluster's settings have to say, by section, for a platform's Secrets to be used."""
    return {
        "artifacts": {"secret": f"{mark}-fetch"},
        "registry": {"pull_secret": f"{mark}-pull", "push_secret": f"{mark}-push"},
        "build": {"index_secret": f"{mark}-index"},
    }


class ClusterCanaries:
    """The secrets of one platform in a cluster.

    Args:
        canaries: the platform's, which note what is found.
        cluster: where.
        mark: what the names of the platform's models and namespaces begin with, and its id.
        builds: the namespace of builds, which it shares with other platforms.
    """

    def __init__(self, canaries: Canaries, cluster: Cluster, mark: str, builds: str) -> None:
        self._canaries, self._cluster, self._mark, self._builds = canaries, cluster, mark, builds
        log = cluster.facts.get("audit_log")
        self._audit_log = Path(log) if log else None
        self._audited = self._audit_log.stat().st_size if self._audit_log else 0

    def plant(self, namespace: str) -> None:
        """Give a namespace what its pods fetch models and pull images with."""
        fetch = {
            "MLFLOW_TRACKING_USERNAME": "tests",
            "MLFLOW_TRACKING_PASSWORD": self._canaries.value(FETCH),
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": self._canaries.value(STORE),
        }
        self._plant(namespace, _secret(f"{self._mark}-fetch", fetch), self._login("pull", PULL))

    def plant_for_builds(self) -> None:
        """Give builds what they ask a registry and a package index with."""
        index = {"UV_INDEX_TESTS_PASSWORD": self._canaries.value(INDEX)}
        if host := self._cluster.facts.get("node_ip"):  # pods reach this machine there
            index = {"UV_INDEX": self._canaries.index_at(host)}
        logins = self._login("pull", PULL), self._login("push", PUSH)
        self._plant(self._builds, _secret(f"{self._mark}-index", index), *logins)

    def take_away(self) -> None:
        """Delete what was planted where other platforms are as well."""
        names = [f"{self._mark}-{name}" for name in ("index", "pull", "push")]
        flags = ("-n", self._builds, "--ignore-not-found", "--wait=false")
        self._cluster.run("delete", "secret", *names, *flags)

    def look(self, mlflow: MlflowServer, environment: Mapping[str, str]) -> None:
        """Look at all that is there of the platform.

        Args:
            mlflow: where its models are.
            environment: its Deployer's, which may say where its database is.
        """
        kinds = self._cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "-o=name")
        for namespace in self._namespaces():
            self._look_at_objects(namespace, kinds)
            self._look_at_logs(namespace, "!schnitzel.dev/nobody")
        self._look_at_objects(self._builds, kinds)
        self._look_at_logs(self._builds, f"schnitzel.dev/platform={self._mark}")
        self._look_at_audit_log()
        self._look_at_mlflow(mlflow)
        for database in self._databases(environment):
            self._look_at_database(database)

    def look_at_object(self, thing: Object) -> None:
        """Look at an object, but not at the values of a Secret."""
        values = ("data", "stringData") if thing["kind"] == "Secret" else ()
        shown = {field: content for field, content in thing.items() if field not in values}
        meta = thing["metadata"]
        where = f"{thing['kind']}/{meta['name']} in {meta.get('namespace', 'the cluster')}"
        self._look_into(where, shown)

    def look_at_lines(self, namespace: str, told: str) -> None:
        """Look at lines of logs, "[pod/NAME/CONTAINER] LINE"."""
        for line in told.splitlines():
            who = line[1:].partition("]")[0] if line.startswith("[pod/") else "a pod"
            self._canaries.look_into(f"the log of {who} in {namespace}", line.encode())

    def _look_into(self, where: str, content: object) -> None:
        self._canaries.look_into(where, json.dumps(content).encode())

    def _namespaces(self) -> Iterator[str]:
        for namespace in self._cluster.get("namespaces")["items"]:
            if namespace["metadata"]["name"].startswith(f"{self._mark}-"):
                self.look_at_object(namespace)
                yield namespace["metadata"]["name"]

    def _look_at_objects(self, namespace: str, kinds: str) -> None:
        named = ",".join(kinds.split())
        for thing in self._cluster.get(named, "-n", namespace, "--show-managed-fields")["items"]:
            self.look_at_object(thing)

    def _look_at_logs(self, namespace: str, chosen: str) -> None:
        """Look at what each container of some pods has said, and what it said before it restarted.

        One that has not begun yet, or did not restart, is an error to kubectl, which it ignores.
        """
        flags = ("-n", namespace, "-l", chosen, "--all-containers", "--tail=-1", "--prefix")
        for life in ((), ("--previous",)):
            told = self._cluster.kubectl("logs", *flags, "--ignore-errors", *life)
            self.look_at_lines(namespace, told)

    def _look_at_audit_log(self) -> None:
        """Look at what the API server was asked since the platform was made."""
        if self._audit_log is None:
            return
        with self._audit_log.open("rb") as file:
            if self._audit_log.stat().st_size >= self._audited:  # else another one was begun
                file.seek(self._audited)
            for line in file:
                self._canaries.look_into("the API server's audit log", line)

    def _look_at_mlflow(self, mlflow: MlflowServer) -> None:
        """Look at models, versions and their tags, at the platform's marker, and at webhooks."""
        ours = {"filter": f"name LIKE '{self._mark}-%'", "max_results": 1000}
        marker = {"filter": "name = 'schnitzel'", "max_results": 1}
        queries: dict[str, dict[str, Any]] = {
            "registered-models/search": ours,
            "model-versions/search": ours,
            "experiments/search": marker,
            "webhooks": {},
        }
        for path, query in queries.items():
            self._look_into(f"MLflow's {path.partition('/')[0]}", mlflow.get(path, **query))

    def _databases(self, environment: Mapping[str, str]) -> Iterator[str]:
        """The addresses of the platform's databases; one of SQLite is a file of its home."""
        if reference := environment.get("SCHNITZEL_DEPLOYER__DATABASE_REF"):
            yield resolve_secret(reference, environment)
        if path := self._cluster.facts.get("postgres_dsn_file"):
            address = Path(path).read_text().strip()
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            with psycopg.connect(address) as connection:
                there = connection.execute(query, [self._mark]).fetchone()
            if there:
                yield f"{address.rpartition('/')[0]}/{self._mark}"

    def _look_at_database(self, address: str) -> None:
        listing = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|info)'"
        with psycopg.connect(address) as connection:
            for table in connection.execute(listing).fetchall():
                rows = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(*table))
                for (row,) in connection.execute(rows):
                    self._canaries.look_into(f"the database's {'.'.join(table)}", row.encode())

    def _plant(self, namespace: str, *made: Object) -> None:
        self._cluster.apply(*made, namespace=namespace)

    def _login(self, name: str, secret: str) -> Object:
        """A Secret to ask a registry with."""
        password = self._canaries.value(secret)
        coded = base64.b64encode(f"tests:{password}".encode()).decode()
        login = {"username": "tests", "password": password, "auth": coded}
        text = json.dumps({"auths": {self._cluster.fact(REGISTRIES[secret]): login}})
        made = _secret(f"{self._mark}-{name}", {".dockerconfigjson": text})
        return made | {"type": "kubernetes.io/dockerconfigjson"}


def _secret(name: str, values: Mapping[str, str]) -> Object:
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    return head | {"stringData": dict(values)}
