"""What operators see of csmf-weights, against a running service."""

import json
import socket
import threading

import pytest

from service.operators import cli as ops
from service.operators import client
from service.operators.tables import SCALES_NOTE, table

SET = ["set", "feed", "--reason", "try it", "--author", "ana"]


@pytest.fixture
def run(serve, capsys):
    """A function that runs one command against a service: exit code, output, errors."""
    service = serve()

    def command(*words, url=service.url):
        code = ops.main([*words, "--url", url])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_the_life_of_a_scenario_as_an_operator_sees_it(run):
    code, out, _ = run(*SET, "exposure=0", "click=3", "conversion=0")
    assert (code, out.splitlines()[0]) == (0, "feed: new → version 1, by ana")
    assert out.rstrip().endswith(SCALES_NOTE)

    code, out, _ = run(*SET, "k_d=1", "k_o=1.8", "k_r=1.2", "--expected-version", "1")
    assert out.splitlines()[0] == "feed: version 1 → version 2, by ana"
    assert out.splitlines()[2:6] == [
        "stage       weight before  weight after  scale before  scale after",
        "exposure                0             1             3            4",
        "click                   3           1.8             3            3",
        "conversion              0           1.2             0          1.2",
    ]

    code, out, err = run(*SET, "exposure=1", "click=1", "conversion=1", "--expected-version", "1")
    assert (code, out) == (2, "")
    assert err.startswith("error: expected_version: expected 2, the scenario's version, got 1; it")
    assert err.count("\n") == 1

    code, out, _ = run("rollback", "feed", "--to", "1", "--reason", "undo", "--author", "bo")
    assert out.splitlines()[0] == "feed: version 2 → version 3, by bo"

    _, out, _ = run("history", "feed", "--limit", "2")
    assert [line.split()[:4] for line in out.splitlines()] == [
        ["version", "exposure", "click", "conversion"],
        ["3", "0", "3", "0"],
        ["2", "1", "1.8", "1.2"],
    ]

    _, out, _ = run("get", "feed")
    assert out.startswith("feed, version 3, by bo (")

    _, out, _ = run("list")
    lines = out.splitlines()
    assert lines[1].split()[:5] == ["default", "0", "1", "1", "1"]
    assert lines[2].split()[:5] == ["feed", "3", "0", "3", "0"]
    assert lines[-1].startswith("weights store: read ")

    _, out, _ = run("get", "feed", "--json")
    assert json.loads(out)["scales"] == {"exposure": 3.0, "click": 3.0, "conversion": 0.0}

    for words, says in (
        (["get", "sidebar"], "error: scenario: expected one of default, feed, got 'sidebar'"),
        ([*SET, "click=1"], "error: weights.exposure: expected a number, got nothing"),
        ([*SET, "click=1", "click=2"], "error: expected each stage once"),
        ([*SET, "exposure=nan", "click=1", "conversion=1"], "error: weights.exposure: expected"),
        (["history", "feed", "--before", "0"], "error: before: expected greater than"),
        (["rollback", "feed", "--to", "9", "--reason", "x"], "error: to_version: expected a ver"),
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert err.startswith(says)

    _, out, _ = run("history", "default")
    assert out == "never set: the bundle's default is in force\n"


def test_the_life_of_an_experiment_as_an_operator_sees_it(run):
    signed = ["--reason", "try it", "--author", "ana"]
    run(*SET, "exposure=1", "click=1.8", "conversion=1.2")

    code, out, _ = run("split", "feed", "bold", "k_d=0", "k_o=3", "k_r=0", "--share", "5%", *signed)
    assert (code, out.splitlines()[0]) == (0, "feed: version 1 → version 2, by ana")
    assert out.splitlines()[7:10] == [
        "variant  share before  share after  exposure  click  conversion",
        "bold                -           5%         0      3           0",
        "control          100%          95%         1    1.8         1.2",
    ]
    _, out, _ = run("split", "feed", "bold", "--share", "0.0725", *signed)
    assert "bold               5%        7.25%         0      3           0" in out

    begin = ["--from", "2126-12-24T18:00+02:00", "--until", "2126-12-27T06:00Z"]
    _, out, _ = run("schedule", "feed", "k_d=0", "k_o=0", "k_r=1", *begin, *signed)
    assert (
        "schedule planned: exposure=0 click=0 conversion=1 "
        "from 2126-12-24 16:00:00 until 2126-12-27 06:00:00 (UTC)"
    ) in out.splitlines()
    _, out, _ = run("schedule", "feed", "k_d=0", "k_o=0", "k_r=1", "--for-good", *signed)
    assert "schedule in force: exposure=0 click=0 conversion=1 from 2" in out
    assert "It serves now, instead of the weights above; variants keep theirs." in out

    _, out, _ = run("list")
    assert out.splitlines()[0].split() == [
        *("scenario", "version", "exposure", "click", "conversion"),
        *("besides", "author", "time", "reason"),
    ]
    assert "1 variant, schedule in force" in out.splitlines()[2]
    _, out, _ = run("history", "feed")
    besides = [line.split("ana")[0].split()[4:] for line in out.splitlines()[1:]]
    variant, both = ["1", "variant"], ["1", "variant,", "schedule"]
    assert besides == [both, both, variant, variant, ["-"]]
    assert "schedule" not in run("cancel", "feed", *signed)[1]

    _, out, _ = run("promote", "feed", "bold", *signed)
    assert out.splitlines()[2:6] == [
        "stage       weight before  weight after  scale before  scale after",
        "exposure                1             0             4            3",
        "click                 1.8             3             3            3",
        "conversion            1.2             0           1.2            0",
    ]
    assert "bold            7.25%            -         0      3           0" in out
    run("split", "feed", "calm", "k_d=9", "k_o=1", "k_r=1", "--share", "100%", *signed)
    _, out, _ = run("get", "feed")
    assert "calm      100%         9      1           1" in out
    assert "calm" not in run("end", "feed", "calm", *signed)[1].splitlines()[0]

    for words, says in (
        (
            ["end", "feed", "calm", *signed],
            "error: variant: expected a scenario with variants, got",
        ),
        (["cancel", "feed", *signed], "error: schedule: expected a scenario with a schedule, got"),
        (["split", "feed", "x", "--share", "5%", *signed], "error: weights: expected weights, as"),
        (["split", "feed", "x", "--share", "500%", *signed], "error: share: expected a multiple"),
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert err.startswith(says)


def test_a_preview_shows_means_over_all_and_user_by_user(run, tmp_path, users):
    code, out, _ = run("preview", "default", "k_d=0", "k_o=0", "k_r=1", "--k", "20")
    lines = out.splitlines()
    assert (code, lines[0]) == (
        0,
        "default, version 0, on 4 users of tiny/b1: nothing was changed",
    )
    assert lines[2].split("  ")[-2:] == ["mean score before", "mean score after"]
    assert lines[7].split()[:4] == ["user", "overlap", "exposure", "before"]
    means = [line.split()[-2:] for line in lines[3:6]]
    assert lines[12].split()[0] == "all"
    assert lines[12].split()[2:] == [score for stage in means for score in stage]

    sample = tmp_path / "users.jsonl"
    sample.write_text("".join(json.dumps(user) + "\n" for user in users[:2]))
    words = ["preview", "default", "k_d=0", "k_o=0", "k_r=1", "--users", str(sample)]
    _, out, _ = run(*words, "--json")
    shown = json.loads(out)["users"]
    assert [user["user_id"] for user in shown] == [user["user_id"] for user in users[:2]]
    assert len(shown[0]["after"]) == 100
    sample.write_text("user_id,age\n")
    code, _, err = run(*words)
    assert (code, err.startswith(f"error: {sample}: ")) == (2, True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no such host", "localhost:8000"])
def test_a_service_that_is_away_is_exit_code_1_with_a_way_out(url, capsys):
    assert ops.main(["list", "--url", url]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {url}: ")
    assert "--url or CSMF_URL" in error


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*SET, "exposure=1", "click=1", "conversion=1"], "the change may have been made: look"),
        (["list"], "start csmf-serve"),
    ],
)
def test_who_waits_in_vain_for_a_change_is_told_that_it_may_be_in_force(
    words, says, capsys, monkeypatch
):
    monkeypatch.setattr(client, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert ops.main([*words, "--url", f"http://127.0.0.1:{silent.getsockname()[1]}"]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"-ERR unknown command\r\n", "--url or CSMF_URL"),
        (b"HTTP/1.0 200 OK\r\n\r\n[1]", "--url or CSMF_URL"),
        (b'HTTP/1.0 503 -\r\n\r\n{"error": {"message": "store away"}}', "error: store away"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n<html>", "HTTP 502 Bad Gateway"),
    ],
)
def test_an_answer_that_is_not_the_services_or_says_it_is_away_is_exit_code_1(answer, says, capsys):
    def give(listener):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=give, args=(listener,)).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert ops.main(["list", "--url", url]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["set", "feed", "click"],
        ["set", "feed", "click=1"],
        ["rollback", "feed"],
        ["split", "feed", "bold", "--share", "few", "--reason", "x"],
        ["schedule", "feed", "click=1", "--reason", "x"],
        ["schedule", "feed", "click=1", "--until", "tomorrow", "--reason", "x"],
    ],
)
def test_an_incomplete_command_is_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as left:
        ops.main(words)
    assert left.value.code == 2
    assert "usage: csmf-weights" in capsys.readouterr().err


def test_tables_align_numbers_to_the_right_and_text_to_the_left():
    rows = [("name", "weight"), ("a", "1.5"), ("long name", "-"), ("b", "1e+06")]
    assert table(rows).splitlines() == [
        "name       weight",
        "a             1.5",
        "long name       -",
        "b           1e+06",
    ]
