"""The webhook of Seldon's operator, as the API server repeats it: to kubectl and to our client."""

import json

import pytest
from standins.seldon import webhook
from support.systems.seldon import PREFIX, namespace, standing_in

from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import AdmissionRefused
from deployer.targets.kubernetes.client.session import ClusterAccess, Session

DRY = ("apply", "--server-side", "--dry-run=server", "--field-manager=tests", "-f", "-")
MISSING = "Can't find container for Predictive Unit"


@pytest.fixture
def dry(place):
    """What kubectl prints of a SeldonDeployment that is only tried; "" when it is taken."""

    def apply(found):
        done = place.kube.run(*DRY, "-n", place.name, stdin=json.dumps(found))
        return done.stderr if done.returncode else ""

    return apply


def test_it_refuses_unless_it_is_told_to_be_quiet(dry, unguarded, resource, container):
    other = resource(graph={"name": "other"}, containers=[container(readinessProbe=None)])
    refused = 'The SeldonDeployment "" is invalid: spec.predictors[0].graph: Invalid value: "other"'
    assert f"{refused}: {MISSING}" in dry(other)
    assert dry(resource()) == ""
    unguarded.apply(other)


def test_an_update_is_refused_as_well(place, dry, resource):
    place.apply(resource())
    assert "Traffic must sum be 100" in dry(resource(traffic=50))
    assert place.find("seldondeployment", "sd")["metadata"]["generation"] == 1


def test_all_that_is_wrong_is_said(dry, resource):
    told = dry(resource(protocol="v3", traffic=50))
    for line in ("Invalid protocol", "Traffic must sum be 100 for a single predictor when set"):
        assert "\n* spec: Invalid value: " in told
        assert line in told


def test_our_client_tells_it_as_a_refusal_of_the_webhook(place, resource):
    client = Client(Session(ClusterAccess(place.kube.kubeconfig)))
    try:
        found = resource(graph={"name": "other"})
        found["metadata"]["namespace"] = place.name
        with pytest.raises(AdmissionRefused, match=MISSING) as refused:
            client.create(found)
        assert f'admission webhook "{webhook.NAME}" denied the request' in str(refused.value)
    finally:
        client.close()


def test_when_it_ends_nothing_of_it_is_left(kube, seldon_crd, resource, tmp_path):
    prefix = f"{PREFIX}w"
    with namespace(kube, f"{prefix}1") as here:
        with standing_in(kube, tmp_path, prefix):
            done = kube.run(*DRY, "-n", here.name, stdin=json.dumps(resource(traffic=50)))
            assert done.returncode == 1
        kube.kubectl(*DRY, "-n", here.name, stdin=json.dumps(resource(traffic=50)))
    names = kube.kubectl("get", "validatingwebhookconfigurations", "-o", "name")
    assert prefix not in names
