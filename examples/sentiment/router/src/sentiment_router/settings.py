"""Read the router's settings from environment variables; README.md has the table."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sentiment_router.routing import Routes

URL, URL_FILE = "ROUTER_BROKER_URL", "ROUTER_BROKER_URL_FILE"


class BadSettings(Exception):  # noqa: N818 - named for what they are
    """A variable is missing or wrong; the message names it."""


@dataclass(frozen=True)
class Settings:
    """The queues, and how to reach them."""

    routes: Routes
    prefetch: int
    environ: Mapping[str, str]

    def url(self) -> str:
        """Read the broker's URL, at each connection anew: a password may have changed.

        Raises:
            BadSettings: there is none.
        """
        path = self.environ.get(URL_FILE)
        try:
            url = Path(path).read_text("utf-8").strip() if path else self.environ.get(URL, "")
        except OSError as error:
            raise BadSettings(f"{URL_FILE}: {error.strerror}") from error
        if not url.startswith(("amqp://", "amqps://")):
            raise BadSettings(f"{URL} or {URL_FILE} must give amqps://user:password@host/vhost")
        return url


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        BadSettings: a variable is wrong.
    """
    place = environ.get("ROUTER_ENVIRONMENT", "prod")
    language = environ.get("ROUTER_LANGUAGE", f"language.{place}")
    judges = f"en=sentiment-en.{place} da=sentiment-da.{place}"
    texts = environ.get("ROUTER_TEXTS", f"texts.{place}")
    routes = Routes(
        texts=texts,
        language=language,
        detected=environ.get("ROUTER_DETECTED", f"{language}.results"),
        models=_models(environ.get("ROUTER_MODELS", judges)),
        results=environ.get("ROUTER_RESULTS", f"sentiments.{place}"),
        other=environ.get("ROUTER_OTHER", f"other.{place}"),
        dead_letter=environ.get("ROUTER_DEAD_LETTER", f"{texts}.dead"),
        threshold=_number(environ, "ROUTER_THRESHOLD", "0.5"),
    )
    return Settings(routes, int(_number(environ, "ROUTER_PREFETCH", "200")), environ)


def queues(routes: Routes) -> list[str]:
    """Name every queue of the pipeline, those of the model servers included."""
    servers = [routes.language, *routes.models.values()]
    return [
        routes.texts,
        *(name for server in servers for name in (server, f"{server}.dead")),
        routes.detected,
        routes.results,
        routes.other,
        routes.dead_letter,
    ]


def _models(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split()]
    if not all(language and queue for language, _, queue in pairs):
        raise BadSettings("ROUTER_MODELS must be pairs such as en=sentiment-en da=sentiment-da")
    return {language: queue for language, _, queue in pairs}


def _number(environ: Mapping[str, str], name: str, default: str) -> float:
    text = environ.get(name, default)
    try:
        return float(text)
    except ValueError as error:
        raise BadSettings(f"{name} is {text!r}, and must be a number") from error
