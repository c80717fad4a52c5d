"""Name the fields of a serving spec that its target ignores, or that this platform cannot use."""

from deployer.spec.model import ServingSpec


def notes(spec: ServingSpec, target: str, *, prometheus: bool) -> list[str]:
    """Write a sentence for each field that is set but ignored.

    Args:
        spec: the merged layers.
        target: "local" or "kubernetes"; a cluster uses every field.
        prometheus: whether the platform asks a Prometheus.
    """
    found = []
    if not prometheus and spec.analysis.metrics.asked:
        names = ", ".join(f"analysis.metrics.{name}" for name in spec.analysis.metrics.asked)
        found.append(
            f"{names}: asked of Prometheus, and platform.yaml names none (prometheus.url); a step "
            "that requires evidence waits."
        )
    return found + (_of_machine(spec) if target == "local" else [])


def _of_machine(spec: ServingSpec) -> list[str]:
    found = []
    if spec.autoscaling and not spec.is_scaled_by_messages:
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
