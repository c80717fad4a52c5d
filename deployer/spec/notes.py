"""Name the fields of a serving spec that its target ignores."""

from deployer.spec.model import ServingSpec


def notes(spec: ServingSpec, target: str) -> list[str]:
    """Write a sentence for each field that is set but ignored by the target.

    Args:
        spec: the merged layers.
        target: "local" or "kubernetes"; a cluster uses every field.
    """
    if target != "local":
        return []
    found = []
    if spec.autoscaling:
        low, high = spec.autoscaling.min, spec.autoscaling.max
        found.append(f"autoscaling asks for {low} to {high} replicas; this machine runs {low}.")
    if spec.resources.gpu:
        found.append(
            f"resources.gpu is {spec.resources.gpu}; this machine reserves none, and the model "
            "sees those that there are."
        )
    if spec.image:
        found.append(
            "image is for a cluster; this machine builds the environment from the model's own "
            "requirements."
        )
    cluster = sorted(spec.kubernetes.model_dump(exclude_defaults=True))
    if cluster:
        names = ", ".join(f"kubernetes.{name}" for name in cluster)
        found.append(f"{names}: for a cluster, and left aside on this machine.")
    return found
