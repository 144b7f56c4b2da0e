"""Under pressure lists are searched for with less effort, and say so."""

import pytest
from support.release import make_release, user_records

from index_builder.cli import main
from service.load.effort import DOWN_S, EffortSteps


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A published inverted file whose effort map was measured."""
    made = make_release(tmp_path_factory.mktemp("effort"), items=2000, users=60, requests=150)
    options = ("--exact-below", "100", "--max-effort", "1", "--publish")
    assert main(["--release", str(made.directory), "--log", str(made.log), *options]) == 0
    return made


@pytest.fixture
def press(open_client, many):
    """A function that opens an app under so many steps of pressure."""

    def start(steps, **settings):
        client = open_client(releases=many.releases, **settings)
        effort: EffortSteps = client.app.state.parts.effort
        effort._quiet_since = float("inf")  # nothing here lasts for long enough
        for _ in range(steps):
            effort._pressed_since = effort._clock() - DOWN_S
            effort.note(pressed=True)
        return client

    return start


def retrieve(client, many, **more):
    body = {"user": user_records(many)[0], "k": 50, "explain": True, **more}
    answer = client.post("/retrieve", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_answer_names_the_effort_only_while_it_is_reduced(press, many):
    full = retrieve(press(0), many)
    reduced = retrieve(press(2, recall_floor=0), many)
    assert "effort" not in full
    assert reduced["effort"] == 0.5
    assert reduced["explanation"]["search"]["cells"] < full["explanation"]["search"]["cells"]
    assert reduced["explanation"]["search"]["recall"] < full["explanation"]["search"]["recall"]


def test_the_operators_floor_of_recall_is_kept_whatever_the_pressure(press, many):
    client = press(3, recall_floor=1)
    assert "effort" not in retrieve(client, many)


def test_each_list_of_a_batch_names_its_effort(press, many):
    body = {"users": user_records(many)[:2], "k": 50}
    results = press(1, recall_floor=0).post("/retrieve/batch", json=body).json()["results"]
    assert [each["effort"] for each in results] == [0.7, 0.7]
