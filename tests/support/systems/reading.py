"""`kubectl get -o json` without kubectl, each start of which takes a fifth of a second of CPU.

Tests ask while they wait, several times a second: kubectl would take a core from what they test.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from urllib3.exceptions import HTTPError

_GET = argparse.ArgumentParser(prog="get", add_help=False, exit_on_error=False)
_GET.add_argument("kinds")
_GET.add_argument("names", nargs="*")
_GET.add_argument("-n", "--namespace", default="default")
_GET.add_argument("-A", "--all-namespaces", action="store_true")
_GET.add_argument("-l", "--selector", default="")
_GET.add_argument("--show-managed-fields", action="store_true")

Object = dict[str, Any]


class Resource(NamedTuple):
    """A resource of the API: the path of its version, and what kubectl knows it by."""

    path: str
    version: str
    kind: str
    plural: str
    namespaced: bool


class Reader:
    """Reads objects as `kubectl get -o json` prints them."""

    def __init__(self, kubeconfig: Path) -> None:
        from kubernetes import client, config  # slow to import

        settings = client.Configuration()
        settings.retries = 1  # a connection that a restarted server has closed
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
        self._api = client.ApiClient(settings)
        self._known: dict[str, Resource] = {}

    def get(self, *arguments: str) -> Object:
        """Read one object, or a list of those of some kinds.

        Raises:
            AssertionError: what kubectl would end with an error for.
        """
        from kubernetes.client.exceptions import ApiException

        asked = _GET.parse_intermixed_args(arguments)
        try:
            resources = [self._resource(kind) for kind in asked.kinds.split(",")]
            if asked.names:
                found = [
                    self._ask(f"{_place(resource, asked)}/{name}")
                    for resource in resources
                    for name in asked.names
                ]
            else:
                query = [("labelSelector", asked.selector)] if asked.selector else []
                found = [
                    item
                    for resource in resources
                    for item in self._items(resource, _place(resource, asked), query)
                ]
        except (ApiException, HTTPError) as error:
            raise AssertionError(f"kubectl get {' '.join(arguments)}:\n{error}") from error
        if not asked.show_managed_fields:
            for each in found:
                each["metadata"].pop("managedFields", None)
        if len(asked.names) == len(resources) == 1:
            return found[0]
        return {"apiVersion": "v1", "kind": "List", "items": found}

    def _items(
        self, resource: Resource, path: str, query: list[tuple[str, str]]
    ) -> Iterator[Object]:
        for item in self._ask(path, query)["items"]:
            yield {"apiVersion": resource.version, "kind": resource.kind} | item

    def _resource(self, name: str) -> Resource:
        if name.lower() not in self._known:
            self._discover()
        if name.lower() not in self._known:
            raise AssertionError(f'the server doesn\'t have a resource type "{name}"')
        return self._known[name.lower()]

    def _discover(self) -> None:
        """Learn what resources there are, by each of their names; the first of a name counts."""
        groups = self._ask("/apis")["groups"]
        versions = [group["preferredVersion"]["groupVersion"] for group in groups]
        for path, version in [("/api/v1", "v1"), *((f"/apis/{one}", one) for one in versions)]:
            for each in self._ask(path)["resources"]:
                plural = each["name"]
                if "/" in plural or "list" not in each["verbs"]:
                    continue
                found = Resource(path, version, each["kind"], plural, each["namespaced"])
                whole = f"{plural}.{version.rpartition('/')[0]}".rstrip(".")
                short = each.get("shortNames", ())
                for name in (plural, each["singularName"], each["kind"].lower(), whole, *short):
                    self._known.setdefault(name, found)

    def _ask(self, path: str, query: list[tuple[str, str]] | None = None) -> Any:
        request = self._api.param_serialize(
            method="GET",
            resource_path=path,
            query_params=query or [],
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        answer = self._api.call_api(*request)
        content = answer.read()
        assert answer.status == 200, f"GET {path}: {answer.status} {content.decode()}"
        return json.loads(content)


def _place(resource: Resource, asked: argparse.Namespace) -> str:
    inside = resource.namespaced and not asked.all_namespaces
    where = f"/namespaces/{asked.namespace}" if inside else ""
    return f"{resource.path}{where}/{resource.plural}"
