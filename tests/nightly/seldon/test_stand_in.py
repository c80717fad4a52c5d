"""What the stand-in of the operator makes, in a real pod; all else is in tests/apiserver/seldon."""

FILE = "/tmp/env"  # noqa: S108 - in a pod


def test_its_pods_are_told_where_to_listen(place, resource, container, image):
    script = f"env > {FILE}; exec /bin/sleep 600"
    probe = {"exec": {"command": ["/bin/grep", "-q", "PREDICTIVE_UNIT_ID=model", FILE]}}
    own = container(command=["/bin/sh", "-c", script], readinessProbe=probe | {"periodSeconds": 1})
    place.apply(resource(containers=[own]))
    place.wait_state("sd", "Available")
    read = ("exec", "-n", place.name, "deploy/sd-main-0-model", "--", "/bin/sh", "-c")
    told = place.kube.kubectl(*read, f"cat {FILE}; id -u; cat /etc/podinfo/annotations")
    assert "PREDICTIVE_UNIT_HTTP_SERVICE_PORT=9000\n" in told
    assert "\n8888\n" in told
    assert 'prometheus.io/path="/prometheus"' in told
