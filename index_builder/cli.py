"""`csmf-index`: build an index for a bundle and publish the pair, or an older one again; or add
changes of the catalogue to what is served.

Exit codes: 0 built (and published), 1 the disk failed, 2 bad input, 3 recall below the
target, 130 stopped with Ctrl-C. Unless it is 0, CURRENT is as before.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from index_builder.settings import BuildSettings, Wanted

if TYPE_CHECKING:
    from index_builder.build import BuildReport
    from index_builder.delta import Applied

DISK_FAILED, BAD_INPUT, BELOW_TARGET = 1, 2, 3
STOPPED = 130  # the exit code of Ctrl-C, in every shell
DEFAULTS = BuildSettings()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("csmf").setLevel(logging.INFO)
    if arguments.threads:
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[variable] = str(arguments.threads)
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    # Imported only now: numpy and FAISS read the number of threads when they are loaded.
    from bundle.errors import BundleError  # noqa: PLC0415
    from index_builder.build import build_index  # noqa: PLC0415
    from index_builder.delta import apply_changes, publish_fresh  # noqa: PLC0415
    from index_builder.errors import BelowTargetError, InputError  # noqa: PLC0415

    release = arguments.release.resolve()
    settings = BuildSettings(
        target_recall=arguments.target_recall,
        max_effort=arguments.max_effort,
        exact_below=arguments.exact_below,
        users=arguments.users,
        seed=arguments.seed,
        changes_after=arguments.changes_after,
        attributes=arguments.attributes,
        codes=arguments.codes,
    )
    build_id = arguments.rollback
    try:
        if arguments.changes:
            print(changed(apply_changes(release, arguments.changes)))
            return 0
        if build_id is None:
            report = build_index(release, arguments.log, settings)
            print(summary(report))
            build_id = report.manifest.build_id
        if arguments.publish or arguments.rollback:
            publish_fresh(release.parent, release.name, build_id)
            print(f"published as {release.parent / 'CURRENT'}")
    except (BundleError, InputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except BelowTargetError as error:
        print(f"error: {error}", file=sys.stderr)
        return BELOW_TARGET
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return DISK_FAILED
    except KeyboardInterrupt:
        print("stopped; CURRENT is as before; a build goes on where it was", file=sys.stderr)
        return STOPPED
    return 0


def changed(applied: Applied) -> str:
    """What a file of changes led to, for a person."""
    manifest = applied.manifest
    return (
        f"changes  up to {applied.position} of the journal lie beside {manifest.run_id}/"
        f"{manifest.build_id}, for whoever serves it:\n"
        f"delta    {applied.directory}\n"
        f"         {manifest.items:,} items new or updated, {manifest.removed:,} removed, "
        f"since {manifest.from_position}, which the index has folded in"
    )


def summary(report: BuildReport) -> str:
    """What was built, for a person: kind, recall and effort by list length, size, time."""
    manifest = report.manifest
    lines = [
        f"index    {report.directory}",
        f"items    {manifest.items:,} x {manifest.dim} dims, "
        f"{report.bytes_per_item:.0f} bytes per item in items.faiss and its lists",
        "unknown  "
        + (", ".join(f"{name} {n:,}" for name, n in report.unknown.items()) or "nothing")
        + " (values of items that the towers were not trained on)",
        *_search_lines(report),
        "search   "
        + ", ".join(f"{ms:.3f} ms at k={k}" for k, ms in report.search_ms.items())
        + " (median, one thread, default weights)",
        "time     "
        + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in report.seconds.items()),
    ]
    return "\n".join(lines)


def _search_lines(report: BuildReport) -> list[str]:
    effort = report.manifest.effort
    if effort is None:
        return ["kind     exact: every item is scored, recall is 1 for all weights"]
    lines = [
        f"kind     ivf, {report.manifest.facts.codes} codes: {effort.cells} cells, "
        f"recall over {len(effort.points)} weight directions (target {effort.target_recall:g}):"
    ]
    for column, k in enumerate(effort.k):
        recalls = [point.recall[column] for point in effort.points]
        cells = [point.nprobe[column] for point in effort.points]
        lines.append(
            f"  k={k:<5} worst {min(recalls):.4f}  mean {sum(recalls) / len(recalls):.4f}  "
            f"cells visited {min(cells)} to {max(cells)}"
        )
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="csmf-index",
        description="Encode a catalogue with a bundle's item tower, build an index that reaches "
        "its target recall for every weighting of the objectives, and publish the pair.",
    )
    add = parser.add_argument
    add("--release", type=Path, required=True, help="the bundle: releases/<run_id>")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--log", type=Path, help="directory with items.parquet and requests.parquet")
    what.add_argument(
        "--rollback", metavar="BUILD", help="build nothing: make this older build CURRENT again"
    )
    what.add_argument(
        "--changes",
        type=Path,
        metavar="FILE",
        help="build nothing: add these changes of the catalogue to what is served",
    )
    add("--publish", action="store_true", help="make the pair CURRENT once it is built")
    add(
        "--target-recall",
        type=_share,
        default=DEFAULTS.target_recall,
        help="mean recall that every weight direction must reach for lists up to 500 (%(default)s)",
    )
    add(
        "--max-effort",
        type=_share,
        default=DEFAULTS.max_effort,
        help="largest share of the cells a search may visit to reach it (%(default)s)",
    )
    add(
        "--exact-below",
        type=_count,
        default=DEFAULTS.exact_below,
        metavar="N",
        help="catalogues smaller than this get an exact index (%(default)s)",
    )
    add(
        "--users",
        type=_positive,
        default=DEFAULTS.users,
        metavar="N",
        help="requests drawn to shape the cells and to measure recall, half each (%(default)s)",
    )
    add(
        "--seed",
        type=_count,
        default=DEFAULTS.seed,
        help="of k-means and of the users drawn (%(default)s)",
    )
    add(
        "--changes-after",
        type=_count,
        default=DEFAULTS.changes_after,
        metavar="N",
        help="the log already holds the changes up to this one; fold in later ones (%(default)s)",
    )
    add(
        "--attributes",
        type=_names,
        default=DEFAULTS.attributes,
        metavar="NAME,NAME",
        help="columns of items.parquet that requests may filter by (default: none)",
    )
    add(
        "--codes",
        choices=get_args(Wanted),
        default=DEFAULTS.codes,
        help="of an inverted file; auto: int4, the fastest, where they keep the recall, else fp16; "
        "int8 takes half of its bytes (%(default)s)",
    )
    add("--threads", type=_positive, help="cores to use (default: all)")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, at most 1, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected an integer >= 0, got {text}")
    return value


def _positive(text: str) -> int:
    if not (value := _count(text)):
        raise argparse.ArgumentTypeError("expected an integer above 0, got 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
