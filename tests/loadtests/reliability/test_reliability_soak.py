"""The soak in small: all that changes does, and what grows or slows down would be noticed."""

import json
import random
from types import SimpleNamespace

import pytest

from loadtests.reliability import ageing, soak
from loadtests.reliability.__main__ import main
from loadtests.reliability.ageing import Turn, drift
from loadtests.reliability.soak_figures import Look, Slice, growth, latency
from loadtests.reliability.soak_plot import plot_soak


@pytest.mark.slow
def test_a_short_soak_changes_everything_and_loses_no_request(tmp_path, monkeypatch):
    for name, part in {
        "WEIGHTS_EVERY": 0.3,
        "CHANGES_EVERY": 0.4,
        "SWAP_EVERY": 0.8,
        "TURN": 0.1,
    }.items():
        monkeypatch.setattr(soak, name, part)
    for name, number in {"ROUNDS": 2, "WARM": 1}.items():
        monkeypatch.setattr(ageing, name, number)
    flags = ["--minutes", "0.1", "--items", "300", "--rate", "30", "--workers", "1"]
    main(["soak", *flags, "--work", str(tmp_path), "--out", str(tmp_path / "out")])
    figures = json.loads((tmp_path / "out" / "soak.json").read_text())["figures"]
    assert figures["requests"] > 90
    assert figures["rounds"] == 2
    assert min(figures["aged_requests"], figures["fresh_requests"]) > 10
    assert min(figures["aged_p99_ms"], figures["fresh_p99_ms"], figures["fresh_processor_ms"]) > 0
    for failure in ("failed_requests", "failed_commands", "workers_that_died", "aged_failed"):
        assert figures[failure] == 0, failure
    changes = [figures[f"changes_of_{name}"] for name in ("weights", "catalogue", "pair")]
    assert changes == [3, 2, 1]
    assert (tmp_path / "out" / "soak.png").stat().st_size > 10_000
    assert len((tmp_path / "out" / "soak.csv").read_text().splitlines()) > soak.LOOKS / 2


def looks(leak_mb_per_hour=0.0, leaked_files=0):
    mb, of_run = 2**20, [number / 360 for number in range(360)]
    sizes = [int((200 + leak_mb_per_hour * part) * mb) for part in of_run]
    files = [50 + number % 7 + int(leaked_files * part) for number, part in enumerate(of_run)]
    rows = zip(of_run, sizes, files, strict=True)
    return [Look(3600 * part, size, size // 2, n, 0.2) for part, size, n in rows]


def test_memory_and_files_that_stay_flat_do_not_grow():
    figures = growth(looks())
    assert figures["resident_growth"] == figures["resident_mb_per_hour"] == 0
    assert (figures["files"], figures["files_growth"]) == (50, 0)


def test_a_leak_of_memory_or_of_files_is_growth():
    figures = growth(looks(leak_mb_per_hour=40, leaked_files=20))
    assert figures["resident_mb_per_hour"] == pytest.approx(40, rel=0.01)
    assert figures["proportional_mb_per_hour"] == pytest.approx(20, rel=0.01)
    assert figures["resident_growth"] > 0.05
    assert figures["files_growth"] == pytest.approx(10, abs=2)


def slices():
    chance = random.Random(1)
    times = [[chance.expovariate(1) for _ in range(2000)] for _ in range(60)]
    return [Slice(60.0 * place, each) for place, each in enumerate(times, 1)]


def test_minutes_that_belonged_to_others_do_not_move_a_quarters_middle_minute():
    disturbed = slices()
    for each in disturbed[-5:]:
        each.milliseconds[:] = [100 * ms for ms in each.milliseconds]
    figures = latency(disturbed)
    assert figures["p99_ms_last_quarter"] == pytest.approx(4.6, rel=0.1)
    assert figures["p99_ms_last_quarter"] == pytest.approx(figures["p99_ms_first_quarter"], rel=0.1)
    assert figures["p99_ms_of_all_last_quarter"] > 10 * figures["p99_ms_of_all_first_quarter"]


def rounds(factor):
    """Of a machine that is up to three times as slow in some rounds as in others."""
    chance = random.Random(1)
    speeds = [1 + 2 * chance.random() for _ in range(100)]

    def turn(speed):
        return Turn(20 * speed * chance.uniform(0.8, 1.25), speed, 1000, 0)

    return [(turn(factor * speed), turn(speed)) for speed in speeds]


@pytest.mark.parametrize("factor", [1.0, 1.15])
def test_a_drift_is_found_within_its_bounds_whatever_the_machine_does(factor):
    figures = drift(rounds(factor), random.Random(2))
    assert figures["p99_drift_at_least"] < factor - 1 < figures["p99_drift_at_most"]
    assert figures["p99_drift"] == pytest.approx(factor - 1, abs=0.05)
    assert figures["cost_drift"] == pytest.approx(factor - 1, abs=1e-4)


def test_a_picture_and_a_table_are_kept_of_what_was_seen(tmp_path):
    seen = SimpleNamespace(looks=looks(), slices=slices(), done=[(300.0, "pair")])
    soak._keep(seen, tmp_path)
    assert (tmp_path / "soak.png").stat().st_size > 10_000
    for name, rows in {"soak.csv": 360, "soak_latency.csv": 60}.items():
        assert len((tmp_path / name).read_text().splitlines()) == 1 + rows


def test_the_picture_shows_all_of_every_line(tmp_path):
    line = ([0.0, 60.0], [200.0, 310.0])
    lines = ({name: line} for name in ("99%", "probe", "resident", "open files"))
    for axes in plot_soak(*lines, [5.0], tmp_path / "soak.png").axes:
        lowest, highest = axes.get_ylim()
        assert lowest <= min(line[1])
        assert max(line[1]) <= highest
