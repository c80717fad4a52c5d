"""The fixture `place` of a module that tells stories of one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.places.base import Place
from contract.stories import MODELS


def place_at(make: Callable[[Path], Place]) -> Any:
    """Make the fixture: a place with a Deployer, and the stories' models in its registry."""

    @pytest.fixture(scope="module", name="place")
    def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
        made = make(tmp_path_factory.mktemp("place") / "home")
        try:
            made.models(MODELS)
            made.start()
            yield made
        finally:
            made.end()

    return place
