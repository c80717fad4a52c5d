"""Records and a status to keep in ModelDeployments: one that serves, and drawn ones."""

from __future__ import annotations

from hypothesis import strategies as st

from deployer.plan.plan import Plan
from deployer.state.deployment import Deployment, Wanted
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase, Role
from deployer.state.record import (
    Absence,
    Candidate,
    Draining,
    Failure,
    Promotion,
    Record,
    RoleHolder,
)
from deployer.state.registry import VersionId
from deployer.status.verdict import State, Status, Sync, Verdict
from support.world import served

SERVED = served()
COUNTS = st.integers(1, 2**63 - 1)
VERSIONS = st.builds(VersionId, st.text(min_size=1), COUNTS, COUNTS, st.text())
TIMES = st.floats(0, 4e9)
PREDICTORS = st.just(SERVED.champion)
PROMOTIONS = st.lists(st.builds(Promotion, VERSIONS, st.text(), COUNTS, TIMES)).map(tuple)
RECORDS = st.builds(
    Record,
    id=st.just("angler-prod"),
    model=st.text(min_size=1),
    environment=st.just("prod"),
    promotions=PROMOTIONS,
    predictors=st.dictionaries(
        st.sampled_from(Role), st.tuples(st.builds(RoleHolder, PREDICTORS, st.none() | TIMES))
    ),
    candidate=st.none() | st.builds(Candidate, PREDICTORS, TIMES),
    draining=st.lists(st.builds(Draining, PREDICTORS), max_size=2).map(tuple),
    failures=st.dictionaries(st.text(), st.builds(Failure, st.text(), st.text(), st.text(), TIMES)),
    absence=st.none() | st.builds(Absence, TIMES, COUNTS, TIMES, PROMOTIONS),
)


def told(state: State = State.SERVING, reason: str = "Ready", weight: int = 100) -> Status:
    assert SERVED.champion
    predictor = ObservedPredictor(SERVED.champion, Phase.READY, 1.0, live_weight=weight)
    return Status(
        verdict=Verdict(state, reason, "A sentence.", "schnitzel status"),
        sync=Sync.IN_SYNC,
        record=SERVED,
        wanted=Wanted(SERVED.champion, SERVED.champion.version),
        observed=Observed({SERVED.champion.name: predictor}, 1.0),
        url="http://models.example/prod/angler/",
        target="kubernetes",
        changed_at=1.0,
        settled=True,
        plan=Plan((), Deployment("angler-prod", "angler", "prod", ())),
    )
