"""Verify the identity of the registry and claim environments in it.

An experiment named `schnitzel`, the marker, carries as tags a sequence number of each platform
(raised with each settled change) and the claims of environments. If the marker is gone, or its
number is lower than the number on record, the registry is another registry or an older state of
this one: everything freezes until an operator decides.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from deployer.errors import ClaimRefused, NotFound, RegistryFrozen, RegistryMalformed
from deployer.registry.client import RegistryClient
from deployer.store.records import Records

EXPERIMENT = "schnitzel"
NEXT_STEP = (
    "Bring the registry back, or, if it is meant to be so: schnitzel registry accept "
    "(what serves goes on serving until then)."
)


class RegistryIdentity:
    """The marker that the Deployer leaves in a registry to recognise it.

    Args:
        rest: MLflow's REST API.
        records: Store of the last sequence number and of a freeze.
        platform_id: The id of this platform.
    """

    def __init__(self, rest: RegistryClient, records: Records, platform_id: str) -> None:
        self._rest = rest
        self._records = records
        self._platform_id = platform_id
        self._lock = threading.Lock()
        self._sequence_tag = f"schnitzel.{platform_id}.sequence"

    @property
    def frozen(self) -> str:
        """The reason of a freeze, in one sentence; empty when nothing is frozen."""
        return self._records.get("frozen") or ""

    def freeze(self, why: str) -> RegistryFrozen:
        """Record that the registry is no longer trusted; returns the error to raise."""
        self._records.set("frozen", why)
        return RegistryFrozen(why, NEXT_STEP)

    def accept(self) -> None:
        """Accept this registry for an operator and leave a new marker in it."""
        with self._lock:
            self._records.set("marker", "")
            self._records.set("frozen", "")
        self.check()

    def check(self) -> None:
        """Check that this is still the same registry; leave the marker the first time.

        Raises:
            RegistryFrozen: This is another registry or an older state, or no operator has accepted
                the registry since it froze.
            RegistryUnreachable, RegistryMalformed: The marker cannot be read now.
        """
        with self._lock:
            if why := self.frozen:
                raise RegistryFrozen(why, NEXT_STEP)
            remembered = self._records.get("marker")
            if not remembered:
                self._create_marker()
                return
            experiment, sequence = remembered.split(":")
            tags = self._tags(experiment)
            if tags is None:
                raise self.freeze(
                    "MLflow no longer carries this platform's marker (the experiment "
                    f"{EXPERIMENT!r}): it seems to be another registry, or one that lost its data."
                )
            found = tags.get(self._sequence_tag, "")
            if not found.isdecimal() or int(found) < int(sequence):
                raise self.freeze(
                    f"MLflow's marker of this platform went back from {sequence} to "
                    f"{found or 'nothing'}: the registry seems to be restored from a backup."
                )

    def advance(self) -> None:
        """Raise the sequence number, so that `check` recognises an older copy of the registry."""
        with self._lock:
            remembered = self._records.get("marker")
            if not remembered or self.frozen:
                return
            experiment, sequence = remembered.split(":")
            self._set_sequence(experiment, int(sequence) + 1)

    def claim(self, environments: Iterable[str]) -> dict[str, str]:
        """Claim environments for this platform.

        Returns:
            The environments that another platform holds, each with that platform's id.
        """
        with self._lock:
            remembered = self._records.get("marker")
            if not remembered:
                raise ClaimRefused("The registry has no marker yet.", "Wait until it is read.")
            experiment = remembered.split(":")[0]
            tags = self._tags(experiment) or {}
            held: dict[str, str] = {}
            for environment in environments:
                tag = f"schnitzel.claim.{environment}"
                holder = tags.get(tag)
                if holder is None:
                    self._set(experiment, tag, self._platform_id)
                    holder = (self._tags(experiment) or {}).get(tag, "")
                if holder != self._platform_id:
                    held[environment] = holder
            return held

    def _create_marker(self) -> None:
        try:
            answer = self._rest.get("experiments/get-by-name", {"experiment_name": EXPERIMENT})
            found = answer.get("experiment", {})
            experiment = str(found.get("experiment_id", ""))
            if found.get("lifecycle_stage") == "deleted":
                self._rest.post("experiments/restore", {"experiment_id": experiment})
        except NotFound:
            answer = self._rest.post("experiments/create", {"name": EXPERIMENT})
            experiment = str(answer.get("experiment_id", ""))
            note = "Kept by the MLflow Deployer to know this registry again. Do not delete it."
            self._set(experiment, "mlflow.note.content", note)
        if not experiment:
            raise RegistryMalformed("MLflow gave no id for the marker's experiment.")
        found_now = (self._tags(experiment) or {}).get(self._sequence_tag, "0")
        self._set_sequence(experiment, (int(found_now) if found_now.isdecimal() else 0) + 1)

    def _set_sequence(self, experiment: str, sequence: int) -> None:
        self._set(experiment, self._sequence_tag, str(sequence))
        self._records.set("marker", f"{experiment}:{sequence}")

    def _tags(self, experiment: str) -> Mapping[str, str] | None:
        try:
            answer = self._rest.get("experiments/get", {"experiment_id": experiment})
        except NotFound:
            return None
        found = answer.get("experiment")
        if not isinstance(found, dict):
            raise RegistryMalformed("MLflow answered without the marker's experiment.")
        if found.get("name") != EXPERIMENT or found.get("lifecycle_stage") == "deleted":
            return None
        return {str(tag["key"]): str(tag["value"]) for tag in found.get("tags", [])}

    def _set(self, experiment: str, key: str, value: str) -> None:
        body = {"experiment_id": experiment, "key": key, "value": value}
        self._rest.post("experiments/set-experiment-tag", body)
