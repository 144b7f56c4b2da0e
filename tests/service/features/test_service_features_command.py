"""csmf-features: it writes what the service reads, and refuses what is wrong by its row."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.operators.features import main


@pytest.fixture
def write(tmp_path):
    """A function that writes a table of users."""

    def to_file(**columns):
        path = tmp_path / "users.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return to_file


@pytest.fixture
def run(monkeypatch, capsys, release, empty_redis):
    """A function that runs the command as the service's settings say; code, stdout, stderr."""
    monkeypatch.setenv("CSMF_RELEASES", str(release.releases))
    monkeypatch.setenv("CSMF_FEATURES_URL", empty_redis.url)

    def command(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return command


def kept(redis, user_id):
    return {
        name: json.loads(text)
        for name, text in redis.client().hgetall(f"csmf:user:{user_id}").items()
    }


def test_a_user_who_was_loaded_is_served_as_one_who_brings_the_same(
    run, write, client, ask, empty_redis
):
    brought = {"age": 31.5, "recent_items": ["i0000004", "i0000009"], "hour": 7}
    table = write(
        user_id=["u00003", "u00004"],
        age=[31.5, None],
        recent_items=[brought["recent_items"], None],
        hour=[7, 8],
        name=["Ana", "Bo"],
    )
    code, out, _ = run("load", table)
    assert (code, out.splitlines()[0]) == (0, "2 users have hour, recent_items, age")
    assert "left out, as the bundle does not read them: name" in out
    found = ask(client, user={"user_id": "u00003"})
    assert found.pop("features") == "stored"
    same = ask(client, user={"user_id": "u00003", **brought})
    assert same.pop("features") == "inline"
    assert found == same
    assert kept(empty_redis, "u00004") == {"hour": 8, "age": None, "recent_items": None}


def test_loading_replaces_the_columns_of_the_table_and_keeps_the_rest(run, write, empty_redis):
    run("load", write(user_id=["u1", "u2"], age=[1.0, 2.0], hour=[1, 2]))
    run("load", write(user_id=["u1"], age=[None], recent_items=[["i1"]]))
    assert kept(empty_redis, "u1") == {"age": None, "hour": 1, "recent_items": ["i1"]}
    assert kept(empty_redis, "u2") == {"age": 2.0, "hour": 2}


def test_of_a_sequence_the_newest_values_that_the_bundle_reads_are_kept(run, write, empty_redis):
    run("load", write(user_id=["u1"], recent_items=[[f"i{place}" for place in range(9)]]))
    assert kept(empty_redis, "u1") == {"recent_items": ["i4", "i5", "i6", "i7", "i8"]}


def test_many_users_are_loaded_whatever_the_batch(run, write, empty_redis):
    users = 2345
    code, *_ = run("load", write(user_id=list(range(users)), age=[float(u) for u in range(users)]))
    assert code == 0
    assert empty_redis.client().dbsize() == users
    assert kept(empty_redis, users - 1) == {"age": users - 1}


@pytest.mark.parametrize(
    ("column", "wrong", "says"),
    [
        ("age", "x", "age: expected a finite number, got 'x'"),
        ("age", float("nan"), "age: expected a finite number, got nan"),
        ("hour", 7.5, "hour: expected a string, integer, boolean or null, got 7.5"),
        ("hour", b"\x00", "hour: expected a string, integer, boolean or null, got b'"),
        ("recent_items", [1.5], "recent_items: expected a string, integer, boolean or null"),
        ("user_id", None, "user_id: expected a text or an integer, got None"),
        ("user_id", "", "user_id: expected a text or an integer, got ''"),
    ],
)
def test_a_wrong_value_refuses_the_file_by_its_row_and_nothing_is_written(
    run, write, empty_redis, column, wrong, says
):
    empty, users = [None] * 1500, [f"u{row}" for row in range(1500)]
    table = {"age": [*empty, None], column: [*empty, None], "user_id": [*users, "last"]}
    table[column][1500] = wrong
    code, _, err = run("load", write(**table))
    assert (code, len(err.splitlines())) == (2, 1)
    assert f"users.parquet: row 1500: {says}" in err
    assert empty_redis.client().dbsize() == 0


@pytest.mark.parametrize("user_id", [1.0, True, b"u1"])
def test_ids_of_another_type_are_refused(run, write, user_id):
    code, _, err = run("load", write(user_id=[user_id], age=[30.0]))
    assert code == 2
    assert f"row 0: user_id: expected a text or an integer, got {user_id}" in err


def test_a_table_that_has_nothing_to_load_is_refused_with_what_is_read(run, write, tmp_path):
    for columns in ({"user_id": ["u1"], "colour": ["red"]}, {"age": [1.0]}):
        code, _, err = run("load", write(**columns))
        assert code == 2
        assert "['hour', 'recent_items', 'age']" in err
    (tmp_path / "no.parquet").write_text("user_id,age\nu1,30\n")
    code, _, err = run("load", tmp_path / "no.parquet")
    assert (code, "expected a parquet file of users" in err) == (2, True)
    assert run("load", tmp_path / "gone.parquet")[0] == 2


def test_a_store_or_a_bundle_that_is_not_there_is_named(run, write, monkeypatch, tmp_path):
    table = write(user_id=["u1"], age=[1.0])
    code, _, err = run("load", table, "--release", tmp_path / "gone")
    assert (code, "gone" in err) == (2, True)
    for url, code, says in (
        ("", 2, "CSMF_FEATURES_URL is not set"),
        ("localhost:6379", 2, "CSMF_FEATURES_URL: expected redis://"),
        ("redis://:opensesame@127.0.0.1:1/0", 1, "Redis: "),
    ):
        monkeypatch.setenv("CSMF_FEATURES_URL", url)
        for words in (("load", table), ("show", "u1")):
            found, _, err = run(*words)
            assert (found, says in err, "opensesame" in err) == (code, True, False)


def test_a_user_is_shown_with_what_the_service_cannot_use(run, keep, empty_redis):
    keep("u1", age="thirty", hour=7, colour="red", seen=["i0000001", "i0000002"])
    empty_redis.client().hset("csmf:user:u1", "recent_items", "[")
    code, out, _ = run("show", "u1")
    assert code == 0
    assert [line.split(maxsplit=2) for line in out.splitlines()[1:5]] == [
        ["age", '"thirty"', "expected a finite number"],
        ["colour", '"red"', "not read by the bundle"],
        ["hour", "7"],
        ["recent_items", "[", "is no JSON"],
    ]
    assert out.splitlines()[-2:] == ["1970-01-01 00:16  i0000002", "1970-01-01 00:16  i0000001"]
    assert "no features are kept" in run("show", "u2")[1]
