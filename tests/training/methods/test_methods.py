"""Every method trains on one log, from one exposure model, and releases what it serves."""

import json

import numpy as np
import pytest
import torch
from support.tiny_training import TINY

from bundle.towers import open_item_tower, open_user_tower
from training.errors import ConfigError
from training.methods.adapters import LowRankTower
from training.methods.registry import build_method, served_names
from training.model import TwoTower
from training.ownership import owned_parameters
from training.presets import METHODS, load_config
from training.progress import ProgressReport
from training.run import train_and_release
from training.trainer import Trainer, make_deterministic

RIVALS = [name for name in METHODS if not name.startswith(("csmf", "packnet"))]


class Stopping(ProgressReport):
    """Stops a run after a number of steps, as a kill would."""

    def __init__(self, directory, after=None):
        super().__init__(directory)
        self.left = after

    def step(self, loss, positives):
        super().step(loss, positives)
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def trained(data, tmp_path, method, *settings, stop=None):
    """A trained method; stopped once on the way, where `stop` says after how many steps."""
    make_deterministic(1)
    config = load_config(assignments=[*TINY, *settings], method=method)
    checkpoint = tmp_path / f"{method}{len(settings)}{stop}.npz"
    if stop is not None:
        with pytest.raises(KeyboardInterrupt):
            Trainer(build_method(data, config), checkpoint, every=2).run(Stopping(tmp_path, stop))
    trainer = Trainer(build_method(data, config), checkpoint, every=2)
    trainer.run(Stopping(tmp_path))
    return trainer


def parameters_of(network):
    return {name: each.detach().clone() for name, each in network.named_parameters()}


@pytest.mark.parametrize("method", ["youtubednn-mix", "full-ft"])
def test_a_method_releases_the_models_it_serves(log, tmp_path, method):
    config = load_config(assignments=TINY, method=method)
    bundles = train_and_release(log, tmp_path, config)
    names = served_names(config, ("exposure", "click", "conversion"))
    assert len(bundles) == len(names)
    for bundle, name in zip(bundles, names, strict=True):
        assert bundle.manifest.run_id.endswith(name)
        assert open_user_tower(bundle) is not None
        assert open_item_tower(bundle) is not None
        cost = json.loads((bundle.directory / "evaluation.json").read_text())["cost"]
        assert cost["dims"] == bundle.segments.dim
        card = (bundle.directory / "MODEL_CARD.md").read_text()
        assert f"trained by the method `{method}`" in card
        assert "cascaded" not in card
        assert cost["examples"] == sum(phase["examples"] for phase in cost["phases"]) > 0
    again = train_and_release(log, tmp_path, config)
    assert [each.sha256 for each in again] == [each.sha256 for each in bundles]


@pytest.mark.parametrize("start", ["exposure", "scratch"])
@pytest.mark.parametrize("method", [name for name in RIVALS if name not in ("lora", "bitfit")])
def test_a_rival_killed_in_any_phase_resumes_to_the_same_bits(data, tmp_path, method, start):
    words = (f"method.start={start}",)
    undisturbed = trained(data, tmp_path, method, *words)
    steps = sum(cost.steps for cost in undisturbed.progress.costs)
    resumed = trained(data, tmp_path, method, *words, stop=steps - 1)
    expected = parameters_of(undisturbed.method.network)
    found = parameters_of(resumed.method.network)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


TAUGHT = (
    *("teachers=2", "middle.taught=1", "middle.own=0", "last.taught=1", "last.own=0.2"),
    *("last.decay=linear", "last.replay=0.3", "last.replay_taught=0.5", "recovery.epochs=2"),
    *("pruning.fresh_units=4", "pruning.fresh_columns=2"),
)


def test_a_taught_cascade_killed_in_any_phase_resumes_to_the_same_bits(data, tmp_path):
    undisturbed = trained(data, tmp_path, "csmf", *TAUGHT)
    names = [cost.phase for cost in undisturbed.progress.costs]
    assert names == [
        *("exposure", "exposure teacher 2", "exposure recovery"),
        *("click teacher 1", "click teacher 2", "click", "click recovery"),
        *("conversion teacher 1", "conversion teacher 2", "conversion"),
    ]
    steps = sum(cost.steps for cost in undisturbed.progress.costs)
    for stop in (steps // 2, steps - 3):
        resumed = trained(data, tmp_path, "csmf", *TAUGHT, stop=stop)
        assert undisturbed.method.certificates == resumed.method.certificates


@pytest.mark.parametrize("start", ["exposure", "scratch"])
def test_a_taught_union_has_teachers_of_its_own_starts(data, tmp_path, start):
    words = ("teachers=2", "middle.taught=1", "middle.own=0", f"method.start={start}")
    undisturbed = trained(data, tmp_path, "youtubednn-mix", *words)
    names = [cost.phase for cost in undisturbed.progress.costs]
    starts = ["exposure", "exposure teacher 2"] if start == "exposure" else []
    assert names == [*starts, "mix teacher 1", "mix teacher 2", "mix"]
    first, second = map(parameters_of, undisturbed.method.teachers)
    assert not any(torch.equal(first[name], second[name]) for name in first if first[name].ndim > 1)
    assert any(first[name].ndim > 1 for name in first)
    steps = sum(cost.steps for cost in undisturbed.progress.costs)
    resumed = trained(data, tmp_path, "youtubednn-mix", *words, stop=steps - 1)
    expected, found = (parameters_of(each.method.network) for each in (undisturbed, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_taught_union_says_what_its_teachers_say(data, tmp_path):
    """Taught by their lists alone, for long, it comes nearer to them than to where it began."""
    words = ("middle.taught=1", "middle.own=0", "middle.epochs=30", "method.start=scratch")
    method = trained(data, tmp_path, "youtubednn-mix", *words).method
    fresh = TwoTower(data.schema, method.config.model, method.config.seed)
    (teacher,) = method.teachers

    def scores(model):
        (users,), (items,) = model.user(data.requests), model.item(data.items)
        found = users @ items.T
        return (found - found.mean(dim=1, keepdim=True)).detach()

    apart = [float((scores(model) - scores(teacher)).norm()) for model in (method.mix, fresh)]
    assert apart[0] < 0.5 * apart[1]


def test_a_teacher_is_no_part_of_what_is_served(data, tmp_path):
    method = trained(data, tmp_path, "csmf", *TAUGHT).method
    (served,) = method.served().values()
    names = {name for name, _ in served.user.named_parameters()}
    assert {len(entries) for _, entries in owned_parameters(method.model)} == {3}
    assert names == {name for name, _ in method.model.user.named_parameters()}
    assert [teacher.owners for teacher in method.teachers] == [1, 1]


def test_an_exposure_model_is_trained_once_for_all_methods(log, tmp_path):
    """And a run that reads it ends in the bytes of a run that trains it."""
    mix = load_config(assignments=TINY, method="youtubednn-mix")
    csmf = load_config("plain", assignments=TINY)
    train_and_release(log, tmp_path / "after", mix)
    (exposure,) = (tmp_path / "after" / ".training").glob("exposure-*.npz")
    made = exposure.stat().st_mtime_ns
    (alone,) = train_and_release(log, tmp_path / "alone", csmf)
    (after,) = train_and_release(log, tmp_path / "after", csmf)
    assert alone.sha256 == after.sha256
    assert [*exposure.parent.glob("exposure-*.npz")] == [exposure]
    assert exposure.stat().st_mtime_ns == made


def test_teachers_of_all_methods_go_on_from_the_same_exposure_models(data):
    """They keep them under one name: whoever trains first decides what the other one finds."""
    csmf, mix = (
        build_method(data, load_config("default", assignments=TINY, method=method))
        for method in ("csmf", "youtubednn-mix")
    )
    for ours, theirs in zip(csmf.teachers, mix.teachers, strict=True):
        for name, values in ours.state_dict().items():
            assert torch.equal(values, theirs.state_dict()[name]), name


@pytest.mark.parametrize("method", ["csmf", "full-ft", "youtubednn-mix", "moppr", "dmmp"])
def test_the_exposure_model_follows_the_schedule_that_is_set(data, method):
    config = load_config(assignments=[*TINY, "first.decay=linear"], method=method)
    assert build_method(data, config).phases()[0].decay == "linear"


@pytest.mark.parametrize("method", RIVALS)
def test_a_rivals_later_stages_follow_the_schedule_that_is_set(data, method):
    decays = ("middle.decay=linear", "last.decay=linear")
    config = load_config(assignments=[*TINY, *decays], method=method)
    phases = build_method(data, config).phases()
    alone = method == "youtubednn-sep"  # whose first stage is one of its own
    assert {phase.decay for phase in phases[1:] if alone or len(phases) > 1} <= {"linear"}
    assert phases[-1].decay == "linear"


@pytest.mark.parametrize(("method", "learning"), [("bitfit", ".biases."), ("lora", "nothing")])
def test_what_does_not_learn_asks_for_no_gradients(data, method, learning):
    rival = build_method(data, load_config(assignments=TINY, method=method))
    rival.phases()[1].start()
    asking = {name for name, each in rival.models[1].named_parameters() if each.requires_grad}
    assert asking == {name for name, _ in rival.models[1].named_parameters() if learning in name}


def test_what_starts_from_the_exposure_model_starts_with_its_scores(data, tmp_path):
    """With no later step at all, every fine-tuned model is the exposure model."""
    trainer = trained(data, tmp_path, "full-ft", "middle.learning_rate=1e-30")
    exposure, click, _ = trainer.method.models
    assert all(map(torch.allclose, exposure.parameters(), click.parameters()))


def test_bitfit_changes_biases_only(data, tmp_path):
    exposure, click, _ = trained(data, tmp_path, "bitfit").method.models
    before, after = parameters_of(exposure), parameters_of(click)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".biases." in name for name in changed)


def test_lora_changes_every_matrix_by_a_low_rank_and_no_bias(data, tmp_path):
    exposure, click, _ = trained(data, tmp_path, "lora", "method.rank=2").method.models
    before, after = parameters_of(exposure), parameters_of(click)
    for name in before:
        if before[name].ndim == 1:
            assert torch.equal(before[name], after[name]), name
        else:
            assert 1 <= torch.linalg.matrix_rank(after[name] - before[name], tol=1e-5) <= 2, name


def test_a_merged_tower_computes_what_the_adapted_one_did(data, config):
    model = TwoTower(data.schema, config.model, seed=1)
    adapter = LowRankTower(model.user, 2, torch.Generator().manual_seed(1))
    for up in adapter.ups:
        torch.nn.init.normal_(up)
    expected = adapter(data.requests)[0].detach()
    before = model.user(data.requests)[0].detach()
    adapter.merge()
    torch.testing.assert_close(model.user(data.requests)[0], expected)
    assert not torch.allclose(before, expected)


def test_the_union_counts_the_last_stage_as_often_as_asked(data, tmp_path):
    clicks, conversions = (len(positives) for positives in data.positives[1:])
    for times in (1, 4):
        trainer = trained(
            data, tmp_path / str(times), "youtubednn-mix", f"method.last_weight={times}"
        )
        (cost,) = [each for each in trainer.progress.costs if each.phase == "mix"]
        assert cost.examples == 2 * (clicks + times * conversions), "two epochs"


def test_the_joint_partition_trains_upstream_segments_with_later_losses(data, tmp_path):
    """What CSMF freezes, it moves: that is what the cascade is told apart from."""
    found = []
    for epochs in (1, 2):
        trainer = trained(data, tmp_path / str(epochs), "joint", f"middle.epochs={epochs}")
        found.append(trainer.method.certificates[0].frozen_sha256)
        assert trainer.method.network.segment_sizes == (8, 4, 4)
    assert found[0] != found[1]


def test_page_candidates_of_a_click_are_exposures_that_were_not_clicked(data):
    clicks, exposures = data.positives[1], data.positives[0]
    clicked = set(zip(clicks.request_P.tolist(), clicks.item_P.tolist(), strict=True))
    shown = set(zip(exposures.request_P.tolist(), exposures.item_P.tolist(), strict=True))
    below = clicks.below
    requests = np.repeat(np.arange(len(below.count_R)), below.count_R)
    pairs = set(zip(requests.tolist(), below.item_C.tolist(), strict=True))
    assert shown - clicked <= pairs
    assert not pairs & clicked


@pytest.mark.parametrize("method", ["lora", "bitfit"])
def test_adapters_of_nothing_are_refused(log, tmp_path, method):
    config = load_config(assignments=[*TINY, "method.start=scratch"], method=method)
    with pytest.raises(ConfigError, match=r"method.tune: .* needs method.start=exposure"):
        train_and_release(log, tmp_path, config)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="youtubednn-mix"):
        load_config(method="youtube")
