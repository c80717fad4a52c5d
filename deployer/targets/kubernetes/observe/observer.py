"""Observe a deployment: its predictors as their objects show them, and the live weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from deployer.analysis import example
from deployer.analysis.probes import Examples
from deployer.background.periodic import Periodic
from deployer.errors import GatewayUnavailable
from deployer.state.deployment import Deployment
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase, Predictor
from deployer.targets import shares
from deployer.targets.kubernetes.client.kinds import HTTP_ROUTE, POD
from deployer.targets.kubernetes.context import ClusterContext, LiveDeployment
from deployer.targets.kubernetes.images.preparation import ImagePreparation
from deployer.targets.kubernetes.observe import predictor as observation, select
from deployer.targets.kubernetes.observe.diagnostics import Diagnostics
from deployer.targets.kubernetes.observe.gateway import Gateway
from deployer.targets.kubernetes.observe.reach import LOOK_SECONDS, Reach
from deployer.targets.kubernetes.observe.select import deployment_of, first_ready, instance, known
from deployer.targets.kubernetes.queue.consumers import Consumers
from deployer.targets.kubernetes.render.route import PORT


class Observer:
    """An observer of the deployments of one cluster.

    Args:
        context: The cluster.
        gateway: Knows the live weights.
        preparation: Knows how far the images are, and which predictors the cluster refuses.
        drift_of: Returns the drift of a deployment that is reported and not put back.
        consumers: Knows the shares of messages that pods take.
    """

    def __init__(
        self,
        context: ClusterContext,
        gateway: Gateway,
        preparation: ImagePreparation,
        drift_of: Callable[[str], tuple[str, ...]],
        consumers: Consumers,
    ) -> None:
        self._context = context
        self._gateway = gateway
        self._preparation = preparation
        self._drift_of = drift_of
        self._consumers = consumers
        self._examples = Examples()
        self._diagnostics = Diagnostics(context.client, context.changed)
        self._looking: Periodic | None = None

    def watch(self, changed: Callable[[str], None]) -> None:
        """Begin to report that the gateway or the cluster is silent, or answers again."""
        reach = Reach(self._context.cache, self._gateway, changed)
        self._looking = Periodic(reach.look, "reach", LOOK_SECONDS)

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
        found, awaits = {}, ""
        for predictor in known(there.record):
            weight = weights.get(predictor.name, 0)
            found[predictor.name], waits = self._observe(there, predictor, weight, now)
            awaits = f"the events and logs of {predictor.name}" if waits else awaits
        drift = self._drift_of(deployment)
        return Observed(found, now, gateway_error, "schnitzel cluster check", drift, awaits)

    def url(self, model: str, environment: str) -> str:
        """Return the address of a deployment at the gateway."""
        return self._gateway.url(model, environment)

    def ask(self, predictor: Predictor, there: LiveDeployment, deployment: Deployment) -> None:
        """Begin to ask a predictor the model's own example, once a pod and the files are there."""
        own = [obj.object() for obj in there.of(predictor.name) if obj.kind == POD]
        pod = first_ready(own)
        files = self._preparation.files(predictor)
        if pod is None or files.result is None:
            return
        post = self._context.client.pods.post(pod, PORT, "/invocations")
        question = partial(example.ask, post, files.result)
        if before := deployment.relied_on(predictor):
            relied = self._preparation.files(before)
            if relied.result is None:
                return
            question = partial(example.ask_successor, post, files.result, relied.result)
        self._examples.ask(predictor.name, instance(own), question)

    def forget(self, predictor: str) -> None:
        """Drop what is remembered of a predictor that has gone."""
        self._examples.forget(predictor)
        self._diagnostics.forget(predictor)

    def close(self) -> None:
        """End background work, and close the connections to the gateway."""
        if self._looking:
            self._looking.close()
        self._diagnostics.close()
        self._gateway.close()

    def _observe(
        self, there: LiveDeployment, predictor: Predictor, weight: int, now: float
    ) -> tuple[ObservedPredictor, bool]:
        """Observe a predictor; True if evidence is on its way that may change the judgement."""
        name, own = predictor.name, there.of(predictor.name)
        prepared = self._preparation.refusal(name) or self._preparation.peek(name)
        seen = select.seen(own, prepared)
        pods = seen.pods
        verdict = self._examples.verdict(name, instance(pods))
        if predictor.spec.runtime == "queue":
            consumed, wanted = self._consumers.consumed(there.objects, name, pods)
            weight = shares.combine(weight, consumed, wanted)
        judged = observation.observe(predictor, seen, now, weight=weight, example=verdict)
        if not any(deployment_of(own)) or (judged.phase is Phase.READY and not judged.reason):
            self._diagnostics.forget(name)
            return judged, False
        found, waits = self._diagnostics.evidence_of(there.record.id, name, there.namespace, pods)
        seen = replace(seen, events=found.events, log=found.log, answer=found.answer)
        return observation.observe(predictor, seen, now, weight=weight, example=verdict), waits
