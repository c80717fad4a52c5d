"""Nothing that a client sends breaks the server, or gives one client the answer of another."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from support.attacks.corpus import ALL, LIVE, Attack
from support.attacks.wire import Good, Wire, lives_of


@pytest.fixture(scope="module", params=["attacked", "describe"])
def server(request):
    return request.getfixturevalue(request.param)


def test_what_is_sent_to_break_it_is_answered_as_the_rules_say(server):
    """All entries of the corpus for one model, and what each of them was answered."""
    good, before = Good(server), lives_of(server)
    wrong = []
    with Wire(server) as beside:
        for name, attack in ALL.items():
            if attack.model != server.predictor["model"]:
                continue
            found = answered(server, good, attack)
            if found is not None:
                wrong.append(f"{name}: {found} ({attack.why})")
            assert good.is_answered(beside), f"after {name}"
    assert not wrong, "\n".join(wrong)
    assert lives_of(server) == before


def answered(server, good: Good, attack: Attack) -> str | None:
    """Send an entry between two good requests; None if all is answered as it should be."""
    first, last = good.ask(), good.ask()
    with Wire(server) as wire:
        wire.say(first[0] + attack.sends + last[0])
        if not good.is_of(wire.answer(), first[1]):
            return "what came before it has another answer"
        statuses = []
        for _ in attack.answers:
            said = wire.answer()
            statuses.append(said.status if said is not None else None)
            if said is not None and said.status >= 500 and b"error_id" not in said.body:
                assert said.status in (501, 505), said
        if tuple(statuses) != attack.answers:
            return f"answered {statuses}, not {list(attack.answers)}"
        after = wire.answer()
        if attack.goes_on and not good.is_of(after, last[1]):
            return f"what came after it was answered {after}"
        if not attack.goes_on and after is not None:
            return f"the connection goes on with {after}"
    return None


def test_a_client_that_says_no_more_still_hears_what_the_server_knows_itself(attacked):
    with Wire(attacked) as wire:
        wire.say(LIVE + b"\r\n" + LIVE + b"\r\n")
        wire.end()
        assert [wire.status(), wire.status(), wire.status()] == [200, 200, None]


def test_a_client_that_ends_in_the_middle_is_closed_on(attacked):
    for sent in (LIVE, LIVE + b"content-length: 9\r\n\r\nabc", b"", b"\r\n"):
        with Wire(attacked) as wire:
            wire.say(sent)
            wire.end()
            assert wire.status() is None


def test_heads_that_do_not_end_keep_nobody_waiting(attacked):
    good = Good(attacked)
    with ExitStack() as open_:
        wires = [open_.enter_context(Wire(attacked)) for _ in range(200)]
        for wire in wires:
            wire.say(LIVE)
        assert good.is_answered(open_.enter_context(Wire(attacked)))
        for wire in wires[::50]:
            wire.say(b"\r\n")
            assert wire.status() == 200
