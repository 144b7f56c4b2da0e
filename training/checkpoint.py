"""Checkpoints: one file that holds all of a run's state, replaced atomically, never a pickle.

Decisions
- A checkpoint is parameters by name, Adam's moments of those that train, and a small JSON record.
  Batches are a function of the step, so no random state is kept.
- The file is a plain .npz read without pickle. It is written beside its place, fsynced and renamed:
  a kill at any moment leaves the last complete checkpoint.
- Restoring copies into memory that torch allocates, so that resumed and undisturbed runs run the
  same kernels on the same alignment and agree bit for bit.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bundle.files import write_atomically
from bundle.manifest import StageCertificate
from training.errors import CheckpointError
from training.model import TwoTower
from training.ownership import owned_parameters, replace_entries

Arrays = dict[str, NDArray[Any]]
RECORD = "record"


@dataclass
class Progress:
    """How far a run has come: `step` steps into phase `phase`, with `before` in those before it."""

    phase: int = 0
    step: int = 0
    before: int = 0
    certificates: list[StageCertificate] = field(default_factory=list)


def save_checkpoint(
    path: Path, model: TwoTower, optimiser: torch.optim.Adam | None, progress: Progress
) -> None:
    """Write the whole state; `optimiser` is None between two phases."""
    record = {
        "phase": progress.phase,
        "step": progress.step,
        "before": progress.before,
        "certificates": [each.model_dump() for each in progress.certificates],
    }
    arrays = _parameters(model) | (_moments(optimiser) if optimiser is not None else {})
    arrays[RECORD] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes no keyword arrays
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, model: TwoTower) -> tuple[Progress, Arrays]:
    """Restore the model in place; returns the progress and the optimiser's moments."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: Arrays = {name: file[name] for name in file.files}
        record = json.loads(arrays.pop(RECORD).tobytes())
        for name, entries in owned_parameters(model):
            replace_entries(entries, _entries(arrays, name))
        certificates = [StageCertificate.model_validate(each) for each in record["certificates"]]
        progress = Progress(record["phase"], record["step"], record["before"], certificates)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path}: not a checkpoint of this run ({error}); delete the file to start over"
        ) from error
    return progress, {name: array for name, array in arrays.items() if name.startswith("adam.")}


def restore_moments(optimiser: torch.optim.Adam, moments: Arrays) -> None:
    """Put Adam back where it was."""
    for place, parameter in enumerate(_trained(optimiser)):
        optimiser.state[parameter] = {
            key: torch.from_numpy(moments[f"adam.{place}.{key}"]).clone()
            for key in ("step", "exp_avg", "exp_avg_sq")
        }


def _parameters(model: TwoTower) -> Arrays:
    return {
        f"{name}.{owner}": entry.detach().numpy()
        for name, entries in owned_parameters(model)
        for owner, entry in enumerate(entries)
    }


def _entries(arrays: Arrays, name: str) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    while (key := f"{name}.{len(found)}") in arrays:
        found.append(torch.from_numpy(arrays[key]))
    return found


def _moments(optimiser: torch.optim.Adam) -> Arrays:
    return {
        f"adam.{place}.{key}": value.numpy()
        for place, parameter in enumerate(_trained(optimiser))
        for key, value in optimiser.state[parameter].items()
    }


def _trained(optimiser: torch.optim.Adam) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
