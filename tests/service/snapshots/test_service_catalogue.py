"""Changes of the catalogue, from the command to the answer: in seconds, for good, never half."""

import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.release import make_release, user_records
from support.waiting import within

from bundle.delta import read_delta
from bundle.store import read_current
from index_builder.cli import main
from service.snapshots import fresh
from service.snapshots.bounds import SizeBounds, SizeError
from service.snapshots.loading import load_snapshot

WITHIN_S = 5.0


@pytest.fixture
def made(tmp_path):
    """A published pair of its own, with attributes."""
    release = make_release(tmp_path)
    build(release)
    return release


def build(release):
    options = ("--log", str(release.log), "--publish", "--attributes", "brand,price")
    assert main(["--release", str(release.directory), *options]) == 0
    return read_current(release.releases).build_id


def change(release, **columns):
    path = release.log / "changes.parquet"
    pq.write_table(pa.table(columns), path)
    assert main(["--release", str(release.directory), "--changes", str(path)]) == 0


def remove(release, *ids):
    change(release, item_id=ids, removed=[True] * len(ids))


def copy_as_new(release, item_id, **other):
    """A new item that has another's features."""
    rows = pq.read_table(release.log / "items.parquet").to_pylist()
    row = next(row for row in rows if row["item_id"] == item_id)
    columns = {name: [value] for name, value in {**row, "item_id": "new", **other}.items()}
    change(release, **columns)


@pytest.fixture
def start(open_client, made):
    """A function that starts the app on these releases."""
    return lambda: open_client(releases=made.releases, releases_poll_s=0.05)


def ask(client, made, **fields):
    response = client.post("/retrieve", json={"user": user_records(made)[0], "k": 10, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def at_position(client, made, position, **fields):
    """The first answer that has the changes up to there."""
    deadline = time.monotonic() + WITHIN_S
    while (answer := ask(client, made, **fields))["catalogue_position"] < position:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert answer["catalogue_position"] == position
    return answer


def test_a_removed_item_vanishes_and_a_new_one_appears_within_seconds(start, made):
    client = start()
    before = ask(client, made)
    assert before["catalogue_position"] == 0
    best, second = before["item_ids"][:2]
    remove(made, best)
    after = at_position(client, made, 1)
    assert after["item_ids"][:9] == before["item_ids"][1:]
    copy_as_new(made, second, brand="brand of the new one")
    last = at_position(client, made, 2, objective_scores=True)
    assert "new" in last["item_ids"]
    brand = [{"attribute": "brand", "equals": "brand of the new one"}]
    assert ask(client, made, filter=brand)["item_ids"] == ["new"]
    assert "new" not in ask(client, made, exclude=["new"])["item_ids"]
    assert {last["build_id"]} == {before["build_id"]}


def test_changes_survive_a_restart(start, made):
    best = ask(start(), made)["item_ids"][0]
    remove(made, best)
    answer = ask(start(), made)
    assert answer["catalogue_position"] == 1
    assert best not in answer["item_ids"]


def test_publishing_another_build_takes_no_change_back(start, made):
    client = start()
    older = ask(client, made)
    best, second = older["item_ids"][:2]
    remove(made, best)
    newer = build(made)
    deadline = time.monotonic() + WITHIN_S
    while (answer := ask(client, made))["build_id"] != newer:
        assert best not in answer["item_ids"] or answer["catalogue_position"] == 0
        assert time.monotonic() < deadline
    assert answer["catalogue_position"] == 1
    assert best not in answer["item_ids"]
    remove(made, second)
    assert main(["--release", str(made.directory), "--rollback", older["build_id"]]) == 0
    while (answer := ask(client, made))["build_id"] == newer:
        assert best not in answer["item_ids"]
        assert time.monotonic() < deadline + WITHIN_S
    assert answer["catalogue_position"] == 2
    assert not {best, second} & set(answer["item_ids"])


def test_a_broken_delta_is_passed_over_for_the_one_before_and_said_once(start, made, caplog):
    client = start()
    first, second = ask(client, made)["item_ids"][:2]
    remove(made, first)
    at_position(client, made, 1)
    deltas = made.directory / "delta" / read_current(made.releases).build_id
    broken = deltas / "00000007"
    broken.mkdir()
    time.sleep(0.3)
    answer = ask(client, made)
    assert answer["catalogue_position"] == 1
    complaints = [record for record in caplog.records if "up to 7 are not" in record.message]
    assert len(complaints) == 1
    broken.rmdir()
    remove(made, second)
    assert second not in at_position(client, made, 2)["item_ids"]


def test_a_broken_delta_is_read_again_once_it_changed_or_after_a_while(start, made, monkeypatch):
    read = []

    def reading(index, position):
        read.append(position)
        return read_delta(index, position)

    monkeypatch.setattr(fresh, "read_delta", reading)
    start()
    broken = made.directory / "delta" / read_current(made.releases).build_id / "00000007"
    broken.mkdir(parents=True)
    assert within(WITHIN_S, lambda: read == [7])
    time.sleep(0.3)
    assert read == [7]
    (broken / "delta.json").write_text("{")
    assert within(WITHIN_S, lambda: read == [7, 7])
    monkeypatch.setattr(fresh, "RETRY_S", 0.0)
    assert within(WITHIN_S, lambda: len(read) > 2)


def test_changes_that_take_too_much_are_not_served_until_it_is_handed_in_again(start, made, caplog):
    client = start()
    items = pq.read_table(made.log / "items.parquet")
    ids = items["item_id"].to_pylist()
    best = ask(client, made)["item_ids"][0]
    remove(made, best)
    at_position(client, made, 1)
    remove(made, *[item_id for item_id in ids if item_id != best])
    deadline = time.monotonic() + WITHIN_S
    while "found 0" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "changes up to 2 are not served: with them: expected at least 1 items" in caplog.text
    answer = ask(client, made)
    assert (answer["catalogue_position"], len(answer["item_ids"])) == (1, 10)
    assert within(WITHIN_S, lambda: "csmf_catalogue_refused 1.0" in client.get("/metrics").text)
    change(made, **items.to_pydict())
    assert best in at_position(client, made, 3)["item_ids"]
    assert within(WITHIN_S, lambda: "csmf_catalogue_refused 0.0" in client.get("/metrics").text)


def test_changes_are_held_against_the_items_of_their_index(made):
    ids = pq.read_table(made.log / "items.parquet")["item_id"].to_pylist()
    remove(made, *ids[: len(ids) // 2 + 1])
    index = load_snapshot(made.releases).files
    delta = read_delta(index, 1)
    SizeBounds(max_shrink=0.6).check_delta("x", delta, index.item_ids_N)
    with pytest.raises(SizeError, match=r"at most 40\.0% of the .* found 50\.3%"):
        SizeBounds(max_shrink=0.4).check_delta("x", delta, index.item_ids_N)


def test_metrics_say_which_changes_are_served_and_how_many_items_lie_beside_the_index(start, made):
    client = start()
    copy_as_new(made, ask(client, made)["item_ids"][0])
    at_position(client, made, 1)
    text = client.get("/metrics").text
    assert "csmf_catalogue_position 1.0" in text
    assert "csmf_catalogue_delta_items 1.0" in text
