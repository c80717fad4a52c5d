"""Observe a deployment: its predictors as their objects show them, and the live weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from deployer.analysis import example
from deployer.analysis.probes import Examples
from deployer.errors import GatewayUnavailable
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase, Predictor
from deployer.targets.kubernetes.cache.objects import LiveObject
from deployer.targets.kubernetes.client.kinds import HTTP_ROUTE, POD
from deployer.targets.kubernetes.context import ClusterContext, LiveDeployment
from deployer.targets.kubernetes.images.preparation import ImagePreparation
from deployer.targets.kubernetes.observe import predictor as observation, select
from deployer.targets.kubernetes.observe.diagnostics import Diagnostics
from deployer.targets.kubernetes.observe.gateway import Gateway
from deployer.targets.kubernetes.observe.select import first_ready, instance, known, made_of
from deployer.targets.kubernetes.render.route import PORT


class Observer:
    """An observer of the deployments of one cluster.

    Args:
        context: The cluster.
        gateway: Knows the live weights.
        preparation: Knows how far the images are, and which predictors the cluster refuses.
        drift_of: Returns the drift of a deployment that is reported and not put back.
    """

    def __init__(
        self,
        context: ClusterContext,
        gateway: Gateway,
        preparation: ImagePreparation,
        drift_of: Callable[[str], tuple[str, ...]],
    ) -> None:
        self._context = context
        self._gateway = gateway
        self._preparation = preparation
        self._drift_of = drift_of
        self._examples = Examples()
        self._diagnostics = Diagnostics(context.client)

    def observe(self, deployment: str) -> Observed:
        """Observe a deployment, by its id.

        Raises:
            Unavailable: The cluster cannot be read now.
        """
        now = self._context.clock()
        there = self._context.read(deployment)
        if there is None:
            return Observed({}, now)
        weights: dict[str, int] = {}
        gateway_error = ""
        try:
            route = next((o.object() for o in there.objects if o.kind == HTTP_ROUTE), None)
            weights = self._gateway.live(deployment, route)
        except GatewayUnavailable as error:
            gateway_error = error.message
        found = {
            predictor.name: self._observe(
                predictor, there.of(predictor.name), weights.get(predictor.name, 0), now
            )
            for predictor in known(there.record)
        }
        drift = self._drift_of(deployment)
        return Observed(found, now, gateway_error, "schnitzel cluster check", drift)

    def url(self, model: str, environment: str) -> str:
        """Return the address of a deployment at the gateway."""
        return self._gateway.url(model, environment)

    def ask(self, predictor: Predictor, there: LiveDeployment) -> None:
        """Begin to ask a predictor the model's own example, once a pod and the files are there."""
        own = [obj.object() for obj in there.of(predictor.name) if obj.kind == POD]
        pod = first_ready(own)
        files = self._preparation.files(predictor)
        if pod is None or files.result is None:
            return
        post = self._context.client.pods.post(pod, PORT, "/invocations")
        question = partial(example.ask, post, files.result)
        self._examples.ask(predictor.name, instance(own), question)

    def forget(self, predictor: str) -> None:
        """Drop what is remembered of a predictor that has gone."""
        self._examples.forget(predictor)
        self._diagnostics.forget(predictor)

    def close(self) -> None:
        """Close the connections to the gateway."""
        self._gateway.close()

    def _observe(
        self, predictor: Predictor, own: Sequence[LiveObject], weight: int, now: float
    ) -> ObservedPredictor:
        name = predictor.name
        prepared = self._preparation.refusal(name) or self._preparation.seen(name)
        seen = select.seen(own, prepared)
        pods = seen.pods
        verdict = self._examples.verdict(name, instance(pods))
        judged = observation.observe(predictor, seen, now, weight=weight, example=verdict)
        if not any(made_of(own)) or (judged.phase is Phase.READY and not judged.reason):
            return judged
        found = self._diagnostics.ask(name, own[0].key.namespace, pods)
        seen = replace(seen, events=found.events, log=found.log, answer=found.answer)
        return observation.observe(predictor, seen, now, weight=weight, example=verdict)
