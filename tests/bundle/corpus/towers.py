"""Attacks on features and towers, resealed."""

from __future__ import annotations

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import edit_features, load, reseal_bundle, save


@attack("T1", errors.InvalidFieldError)
def two_features_of_one_name(target: Target) -> None:
    edit_features(target, lambda schema: schema["item"].append(dict(schema["item"][0])))


@attack("T1", errors.InvalidFieldError)
def vocabulary_that_does_not_exist(target: Target) -> None:
    edit_features(target, lambda schema: schema["vocabularies"].pop("brand"))


@attack("T1", errors.InvalidFieldError)
def vocabulary_entry_twice(target: Target) -> None:
    edit_features(target, lambda schema: schema["vocabularies"]["brand"].append("brand1"))


@attack("T1", errors.InvalidFieldError)
def feature_of_unknown_type(target: Target) -> None:
    edit_features(target, lambda schema: schema["item"][0].update(type="graph"))


@attack("T1", errors.InvalidFieldError)
def numeric_feature_with_deviation_zero(target: Target) -> None:
    edit_features(target, lambda schema: schema["item"][2].update(std=0.0))


@attack("T2", errors.InvalidModelError)
def tower_that_is_no_model(target: Target) -> None:
    (target.bundle / "user_tower.onnx").write_bytes(b"not a protobuf")
    reseal_bundle(target)


@attack("T2", errors.InvalidModelError)
def half_a_tower_with_a_matching_hash(target: Target) -> None:
    path = target.bundle / "item_tower.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reseal_bundle(target)


@attack("T3", errors.TowerSignatureError)
def swapped_towers(target: Target) -> None:
    user, item = target.bundle / "user_tower.onnx", target.bundle / "item_tower.onnx"
    user.rename(target.bundle / "swap")
    item.rename(user)
    (target.bundle / "swap").rename(item)
    reseal_bundle(target)


@attack("T3", errors.TowerSignatureError)
def feature_that_the_tower_does_not_read(target: Target) -> None:
    more = {"name": "weather", "type": "numeric", "mean": 0.0, "std": 1.0}
    edit_features(target, lambda schema: schema["user"].append(more))


@attack("T3", errors.TowerSignatureError)
def sequence_of_another_length(target: Target) -> None:
    edit_features(target, lambda schema: schema["user"][2].update(max_length=9))


@attack("T4", errors.TowerSignatureError)
def segments_longer_than_the_towers_output(target: Target) -> None:
    manifest = load(target.bundle / "bundle.json")
    manifest["segments"][2]["size"] += 1
    save(target.bundle / "bundle.json", manifest)


@attack("T5", errors.TowerSignatureError)
def vocabulary_longer_than_the_towers_table(target: Target) -> None:
    edit_features(target, lambda schema: schema["vocabularies"]["hour"].append("25 o'clock"))
