"""Call MLflow's REST API and check that each answer is the promised JSON object."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import httpx

from deployer.errors import NotFound, RegistryMalformed, RegistryUnreachable

API = "/api/2.0/mlflow/"


class RegistryClient:
    """A client of the MLflow REST API at one address.

    Args:
        url: The tracking server's address.
        auth: User name and password; None for no authentication.
        timeout: Seconds to wait for one answer.
    """

    def __init__(self, url: str, auth: tuple[str, str] | None = None, timeout: float = 10) -> None:
        self.url = url.rstrip("/")
        self.auth = auth
        limits = httpx.Limits(max_keepalive_connections=8)
        self._client = httpx.Client(
            base_url=self.url, auth=auth, timeout=timeout, limits=limits, trust_env=False
        )

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, keys: Collection[str] = ()
    ) -> dict[str, Any]:
        """Call a reading method.

        Args:
            path: The method's path below the API's root.
            params: Query parameters.
            keys: The keys that the answer may have; empty to allow any.

        Raises:
            NotFound: MLflow answers RESOURCE_DOES_NOT_EXIST.
            RegistryUnreachable: MLflow does not answer, or answers with an error.
            RegistryMalformed: The answer breaks the promise of MLflow's API.
        """
        return self._call("GET", path, keys, params=params)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Call a changing method; raises the errors of `get`."""
        return self._call("POST", path, (), json=dict(body))

    def delete(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Call a deleting method; raises the errors of `get`."""
        return self._call("DELETE", path, (), json=dict(body))

    def pages(self, path: str, items: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Iterate over the items of a paged listing; raises the errors of `get`."""
        seen: set[str] = set()
        query = dict(params)
        while True:
            answer = self.get(path, query, (items, "next_page_token"))
            page = answer.get(items, [])
            if not isinstance(page, list) or not all(isinstance(item, dict) for item in page):
                raise RegistryMalformed(f"MLflow's {path} did not list objects under {items!r}.")
            yield from page
            token = answer.get("next_page_token") or ""
            if not token:
                return
            if not isinstance(token, str) or token in seen:
                raise RegistryMalformed(f"MLflow's {path} repeats a page of its listing.")
            seen.add(token)
            query["page_token"] = token

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(self, method: str, path: str, keys: Collection[str], **rest: Any) -> dict[str, Any]:
        try:
            response = self._client.request(method, API + path, **rest)
        except httpx.HTTPError as error:
            raise RegistryUnreachable(
                f"MLflow at {self.url} does not answer ({type(error).__name__}).",
                "Is it running? See: schnitzel status",
            ) from error
        if response.status_code == 404 and b"RESOURCE_DOES_NOT_EXIST" in response.content:
            raise NotFound(f"MLflow knows no such thing: {path}.")
        if response.status_code in (401, 403):
            raise RegistryUnreachable(
                f"MLflow at {self.url} refuses the credentials ({response.status_code}).",
                "Set mlflow.username and mlflow.password_ref in platform.yaml.",
            )
        if response.status_code >= 400:
            raise RegistryUnreachable(
                f"MLflow at {self.url} answers {response.status_code} to {path}.",
                "Look into its log: schnitzel status",
            )
        try:
            answer = response.json()
        except ValueError as error:
            raise RegistryMalformed(f"MLflow's {path} did not answer with JSON.") from error
        if not isinstance(answer, dict) or (keys and not set(answer) <= set(keys)):
            raise RegistryMalformed(f"MLflow's {path} answered with something else than promised.")
        return answer
