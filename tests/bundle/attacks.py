"""A corpus of broken releases, each with the rule of bundle/SPEC.md it breaks and its error.

    python tests/bundle/attacks.py OUT      writes OUT/<attack>/releases for each, and tries to
                                            open it as the service would

An attack receives a sound, published release and breaks one thing. `resealed` attacks update the
hashes as a careful attacker would, so that only the rule itself can refuse them.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # also run as a script, outside pytest
sys.path.insert(0, str(Path(__file__).parents[2]))

from corpus.attack import ATTACKS, Target, make_sound

from bundle import errors
from bundle.delta import positions, read_delta
from bundle.store import read_bundle, read_current, read_index, read_pair
from bundle.towers import open_item_tower, open_user_tower


def open_as_a_server(releases: Path) -> None:
    """Everything a server verifies before it serves, short of FAISS and the golden queries."""
    current = read_current(releases)
    bundle = read_bundle(releases / current.run_id)
    open_user_tower(bundle)
    open_item_tower(bundle)
    index = read_index(bundle.directory / "index" / current.build_id, bundle)
    read_pair(releases, current)
    for position in positions(index):
        read_delta(index, position)


def main(out: Path) -> None:
    """Write every broken release below `out`, and print how each is refused."""
    sound = make_sound(out / "sound")
    for each in ATTACKS:
        releases = out / each.name / "releases"
        shutil.copytree(sound.releases, releases)
        each.apply(Target.below(releases))
        try:
            open_as_a_server(releases)
            answer = "ACCEPTED"
        except errors.BundleError as error:
            answer = str(error)
        sys.stdout.write(f"{each.rule:4} {each.name}: {answer}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
