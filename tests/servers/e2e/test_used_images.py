"""Built environments as people see them: who uses each, what goes, and that what is used stays.

By its name the last of those on a cluster: it takes away the environment that all of them share.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.models import log_models
from support.run.wait import wait_for


def listed(platform: Any) -> list[dict[str, Any]]:
    places: list[dict[str, Any]] = json.loads(platform.cli("image", "list", "-o", "json"))["places"]
    assert [place["message"] for place in places] == [""] * len(places)
    return [image for place in places for image in place["images"]]


def test_what_a_local_model_server_runs_in_is_not_collected(quick):
    log_models(quick.url("mlflow"), [{"name": "housed", "kind": "constant", "say": 1}])
    quick.mlflow.alias("housed", "champion", 1)
    quick.wait_serving("housed", 1, seconds=240)
    used = next(
        image for image in listed(quick) if "housed" in {user["model"] for user in image["users"]}
    )
    assert Path(used["image"]).is_dir()
    assert not used["collectable"]
    token = (quick.home / "token").read_text().strip().rpartition(":")[2]
    answer = quick.client.post(
        f"{quick.url('deployer')}/api/v1/images/collect",
        json={"names": [used["name"]]},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 200, answer.text

    def ended() -> Any:
        [place] = quick.api("images")["places"]
        done = place["collection"]
        return done if done["state"] == "done" else None

    done = wait_for(ended, "the collection to end")
    assert done["removed"] == []
    assert done["kept"][0]["name"] == used["name"]
    assert quick.predict(quick.deployment("housed")["url"]).status_code == 200
