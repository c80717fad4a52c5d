"""Where the builds of tests without a cluster would run."""

from deployer.targets.kubernetes.images.site import BuildSite

PLACE = BuildSite(
    namespace="builds",
    platform_id="team1",
    cluster="main",
    builder="r.example/builder@sha256:1",
    base="r.example/server@sha256:2",
    push="r.example/ml/environments",
    pull="r.example/ml/environments",
    push_secret="login",
    index_secret="index",
)
