"""Settings: where they come from, and what a user is told about a wrong one."""

import pytest

from training.cascade import cascade
from training.cli import main
from training.config import even_sizes
from training.errors import ConfigError
from training.paper.study import FULL, JUDGED_BRIEFLY, QUICK
from training.presets import METHODS, describe_config, load_config


def test_assignments_win_over_the_file_and_the_file_over_the_preset(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("seed: 4\npruning: {tau: 0.6}\nlast: {epochs: 9}\nfirst: {learning_rate: 3e-3}")
    config = load_config("paper", file, ["last.epochs=2", "last.learning_rate=1e-3"])
    assert (config.seed, config.pruning.tau) == (4, 0.6)
    assert (config.last.epochs, config.last.learning_rate) == (2, 1e-3)
    assert config.first.learning_rate == 3e-3  # which YAML 1.1 reads as text
    assert config.last.batch_size == 256  # of the preset


def test_the_paper_preset_has_the_papers_settings():
    config = load_config("paper")
    assert (config.model.dim, config.pruning.tau, config.margin.eta) == (64, 0.75, 1.8)
    for stage in (config.first, config.middle, config.last):
        assert (stage.batch_size, stage.learning_rate, stage.mixed_negatives) == (256, 1e-4, 0)
    assert not config.recovery.nested


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("prunning.tau=1", ["prunning", "no such setting", "pruning.tau"]),
        ("pruning.taux=1", ["pruning.taux", "no such setting", "pruning.tau_tables"]),
        ("pruning.tau=1.5", ["pruning.tau", "less than 1", "1.5"]),
        ("seed=two", ["seed", "integer", "two"]),
        ("seed=4294967296", ["seed", "less than 4294967296"]),
        ("margin.form=both", ["margin.form", "signed", "both"]),
        ("evaluation.ks=[50, 10]", ["evaluation.ks", "increase"]),
        ("seed", ["--set", "key.path=value", "seed"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(assignment, words):
    with pytest.raises(ConfigError) as refused:
        load_config(assignments=[assignment])
    assert all(word in str(refused.value) for word in words), refused.value


def test_segments_are_even_in_steps_of_four_or_as_given():
    assert even_sizes(64, 3) == (24, 20, 20)
    assert even_sizes(64, 5) == (16, 12, 12, 12, 12)
    assert even_sizes(10, 3) == (4, 3, 3)
    config = load_config(assignments=["model.segments=[30, 20, 14]"])
    assert config.segment_sizes(3) == (30, 20, 14)
    with pytest.raises(ConfigError, match=r"sum to model\.dim = 64"):
        config.segment_sizes(2)


def test_a_layer_narrower_than_the_cascade_is_refused():
    with pytest.raises(ConfigError, match=r"model.columns: expected at least 3"):
        load_config(assignments=["model.columns=2"]).check_widths(3)


def test_the_cascade_trains_prunes_and_recovers_every_stage_but_the_last():
    plan = cascade(load_config("plain"), ("exposure", "click", "conversion"))
    assert [phase.name for phase in plan] == [
        "exposure",
        "exposure recovery",
        "click",
        "click recovery",
        "conversion",
    ]
    assert [phase.prunes for phase in plan] == [True, False, True, False, False]
    assert [phase.certifies for phase in plan] == [False, True, False, True, True]


def test_csmf_has_teachers_and_rivals_have_not():
    for method, settings in METHODS.items():
        config = load_config(method=method)
        assert (config.last.taught > 0) == ("method" not in settings), method
        assert load_config("plain", method=method).last.taught == 0


def test_a_taught_stage_has_its_teachers_fine_tuned_before_it():
    plan = cascade(load_config("default"), ("exposure", "click", "conversion"))
    assert [(phase.kind, phase.name, phase.teacher) for phase in plan] == [
        ("train", "exposure", 0),
        ("teach", "exposure teacher 2", 1),
        ("recover", "exposure recovery", 0),
        ("teach", "click teacher 1", 0),
        ("teach", "click teacher 2", 1),
        ("train", "click", 0),
        ("recover", "click recovery", 0),
        ("teach", "conversion teacher 1", 0),
        ("teach", "conversion teacher 2", 1),
        ("train", "conversion", 0),
    ]
    assert not any(phase.prunes or phase.certifies for phase in plan if phase.kind == "teach")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["first.taught=1"], "first.taught must be 0"),
        (["middle.own=0"], "set middle.taught above 0"),
        (["last.replay_taught=1"], "set last.taught above 0"),
        (["last.taught=1", "last.replay=0", "last.replay_taught=1"], "set last.replay above 0"),
    ],
)
def test_lessons_without_a_teacher_are_refused(settings, expected):
    with pytest.raises(ConfigError, match=expected):
        load_config("plain", assignments=settings)


def test_a_log_without_middle_stages_needs_no_teachers_for_them():
    config = load_config("plain", assignments=["middle.taught=1", "teachers=2"])
    plan = cascade(config, ("click", "conversion"))
    assert [phase.kind for phase in plan] == ["train", "recover", "train"]
    assert all(phase.settings.taught == 0 for phase in plan)


def test_every_variant_of_the_study_is_a_configuration():
    for study in (QUICK, FULL):
        for log in study.logs:
            for variant, _ in study.runs(log):
                words = [*log.settings, *JUDGED_BRIEFLY, *variant.settings]
                load_config(variant.preset, None, words, method=variant.method)


def test_only_nested_recovery_trains_the_freed_units():
    names = ("exposure", "click")
    nested = cascade(load_config("plain"), names)[1]
    plain = cascade(load_config("plain", assignments=["recovery.nested=false"]), names)[1]
    assert (list(nested.trainable), nested.widths) == ([0, 1], (1, 2))
    assert (list(plain.trainable), plain.widths) == ([0], (1,))


def test_every_setting_says_what_it_means():
    described = list(describe_config(load_config()))
    assert len({key for key, _, _ in described}) == len(described)
    for key, _, meaning in described:
        assert meaning, key


@pytest.mark.parametrize(("preset", "method"), [(None, "csmf"), ("paper", "csmf"), (None, "mvke")])
def test_the_config_command_lists_every_setting_with_its_value(capsys, preset, method):
    assert main(["config", "--method", method, *(["--preset", preset] if preset else [])]) == 0
    printed = capsys.readouterr().out
    for key, value, meaning in describe_config(load_config(preset, method=method)):
        assert f"{key} = {value}\n" in printed
        assert meaning in printed


def test_a_disk_that_refuses_is_one_line_and_exit_code_1(log, capsys, tmp_path):
    (tmp_path / "file").touch()
    assert main(["--log", str(log), "--out", str(tmp_path / "file" / "releases")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("error: ")
    assert "Not a directory" in said[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["--log", "nowhere", "--out", "out"],
        ["--log", __file__, "--out", "out"],
        ["--log", "nowhere", "--out", "out", "--set", "model.depth=3"],
        ["--log", "nowhere", "--out", "out", "--preset", "best"],
        ["--log", "nowhere", "--out", "out", "--config", "nowhere.yaml"],
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
