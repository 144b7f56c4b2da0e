"""Attacks on directories and their lists of files."""

from __future__ import annotations

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import (
    append,
    drop_entry,
    edit,
    edit_files,
    flip_last_bit,
    load,
    rename_entry,
    save,
)


@attack("F1", errors.MissingFileError)
def bundle_without_manifest(target: Target) -> None:
    (target.bundle / "bundle.json").unlink()


@attack("F1", errors.MissingFileError)
def index_without_manifest(target: Target) -> None:
    (target.index / "index.json").unlink()


@attack("F1", errors.MissingFileError)
def current_names_a_run_that_is_not_there(target: Target) -> None:
    edit(target.releases / "CURRENT", run_id="never-trained")


@attack("F2", errors.MissingFileError)
def missing_tower(target: Target) -> None:
    (target.bundle / "user_tower.onnx").unlink()


@attack("F2", errors.MissingFileError)
def missing_item_vectors(target: Target) -> None:
    (target.index / "item_vectors.npy").unlink()


@attack("F2", errors.MissingFileError)
def directory_in_place_of_a_file(target: Target) -> None:
    (target.bundle / "MODEL_CARD.md").unlink()
    (target.bundle / "MODEL_CARD.md").mkdir()


@attack("F3", errors.TruncatedFileError)
def truncated_tower(target: Target) -> None:
    path = target.bundle / "item_tower.onnx"
    path.write_bytes(path.read_bytes()[:-1])


@attack("F3", errors.TruncatedFileError)
def empty_faiss_index(target: Target) -> None:
    (target.index / "items.faiss").write_bytes(b"")


@attack("F4", errors.ExtraBytesError)
def extra_byte_after_a_tower(target: Target) -> None:
    append(target.bundle / "user_tower.onnx", b"\0")


@attack("F4", errors.ExtraBytesError)
def extra_row_in_the_vectors(target: Target) -> None:
    append(target.index / "item_vectors.npy", b"\0" * 64)


@attack("F5", errors.HashMismatchError)
def one_bit_flipped_in_a_tower(target: Target) -> None:
    flip_last_bit(target.bundle / "user_tower.onnx")


@attack("F5", errors.HashMismatchError)
def one_bit_flipped_in_the_vectors(target: Target) -> None:
    flip_last_bit(target.index / "item_vectors.npy")


@attack("F5", errors.HashMismatchError)
def wrong_hash_in_the_manifest(target: Target) -> None:
    edit_files(target.bundle / "bundle.json", "features.json", sha256="0" * 64)


@attack("F5", errors.HashMismatchError)
def edited_evaluation(target: Target) -> None:
    path = target.bundle / "evaluation.json"
    path.write_bytes(path.read_bytes().replace(b"{", b"["))


@attack("F6", errors.UnlistedFileError)
def extra_file_in_the_bundle(target: Target) -> None:
    (target.bundle / "weights.pkl").write_bytes(b"\x80\x04.")


@attack("F6", errors.UnlistedFileError)
def hidden_file_in_the_index(target: Target) -> None:
    (target.index / ".DS_Store").write_bytes(b"")


@attack("F6", errors.UnlistedFileError)
def folder_of_indexes_in_an_index(target: Target) -> None:
    (target.index / "index").mkdir()


@attack("F7", errors.UnsafePathError)
def path_traversal(target: Target) -> None:
    rename_entry(target, "../../etc/passwd")


@attack("F7", errors.UnsafePathError)
def absolute_path(target: Target) -> None:
    rename_entry(target, "/etc/passwd")


@attack("F7", errors.UnsafePathError)
def windows_path(target: Target) -> None:
    rename_entry(target, "..\\passwd")


@attack("F7", errors.UnsafePathError)
def path_with_a_nul(target: Target) -> None:
    rename_entry(target, "card.md\0.txt")


@attack("F7", errors.UnsafePathError)
def path_with_a_newline(target: Target) -> None:
    rename_entry(target, "MODEL_CARD.md\n")


@attack("F7", errors.UnsafePathError)
def manifest_lists_itself(target: Target) -> None:
    rename_entry(target, "bundle.json")


@attack("F8", errors.UnsafePathError)
def link_in_place_of_a_tower(target: Target) -> None:
    path = target.bundle / "user_tower.onnx"
    path.rename(target.releases / "elsewhere.onnx")
    path.symlink_to(target.releases / "elsewhere.onnx")


@attack("F8", errors.UnsafePathError)
def link_in_place_of_the_manifest(target: Target) -> None:
    path = target.bundle / "bundle.json"
    path.rename(target.releases / "elsewhere.json")
    path.symlink_to(target.releases / "elsewhere.json")


@attack("F9", errors.MissingFieldError)
def required_file_not_listed(target: Target) -> None:
    drop_entry(target.bundle / "bundle.json", "MODEL_CARD.md")


@attack("F9", errors.MissingFieldError)
def golden_set_not_listed(target: Target) -> None:
    drop_entry(target.index / "index.json", "golden.json")


@attack("F10", errors.InvalidFieldError)
def file_listed_twice(target: Target) -> None:
    manifest = load(target.bundle / "bundle.json")
    save(target.bundle / "bundle.json", manifest | {"files": manifest["files"] * 2})


@attack("F11", errors.WrongNameError)
def bundle_under_another_name(target: Target) -> None:
    target.bundle.rename(target.releases / "renamed")
    edit(target.releases / "CURRENT", run_id="renamed")


@attack("F11", errors.WrongNameError)
def bundle_under_an_alias(target: Target) -> None:
    (target.releases / "latest").symlink_to(target.bundle)
    edit(target.releases / "CURRENT", run_id="latest")


@attack("F11", errors.WrongNameError)
def index_under_another_name(target: Target) -> None:
    target.index.rename(target.index.with_name("renamed"))
    edit(target.releases / "CURRENT", build_id="renamed")
