"""Checkpoints: one file that holds all of a run's state, replaced atomically, never a pickle.

Decisions
- A checkpoint is parameters by name, Adam's moments of those that train, and a small JSON record.
  Batches are a function of the step, so no random state is kept.
- The file is a plain .npz read without pickle. It is written beside its place, fsynced and renamed:
  a kill at any moment leaves the last complete checkpoint.
- Restoring copies into memory that torch allocates, so that resumed and undisturbed runs run the
  same kernels on the same alignment and agree bit for bit.
- A trained exposure model is a file of the same kind, without moments.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bundle.manifest import StageCertificate
from bundle.writing import write_atomically
from training.errors import CheckpointError
from training.methods.method import Method
from training.ownership import owned_parameters, replace_entries

Arrays = dict[str, NDArray[Any]]
Json = Mapping[str, Any]
RECORD = "record"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


@dataclass
class PhaseCost:
    """What a phase has cost so far; `seconds` is the only figure that two runs may differ in."""

    phase: str
    trainable: int  # parameters that learn
    steps: int = 0
    examples: int = 0  # positives seen, again in every epoch
    seconds: float = 0.0

    def count(self, examples: int, seconds: float) -> None:
        """One more step; `seconds` since the phase began."""
        self.steps, self.examples, self.seconds = self.steps + 1, self.examples + examples, seconds


@dataclass
class Progress:
    """How far a run has come: `step` steps into phase `phase`, with `before` in those before it."""

    phase: int = 0
    step: int = 0
    before: int = 0
    costs: list[PhaseCost] = field(default_factory=list)

    def next_phase(self) -> None:
        """The phase is over."""
        self.phase, self.before, self.step = self.phase + 1, self.before + self.step, 0


def save_checkpoint(
    path: Path, method: Method, optimiser: torch.optim.Adam | None, progress: Progress
) -> None:
    """Write the whole state; `optimiser` is None between two phases."""
    record = {
        **asdict(progress),
        "certificates": [each.model_dump() for each in method.certificates],
    }
    moments = _moments(optimiser) if optimiser is not None else {}
    _write(path, _parameters(method.network) | moments, record)


def load_checkpoint(path: Path, method: Method) -> tuple[Progress, Arrays]:
    """Restore the method in place; returns the progress and the optimiser's moments."""
    try:
        arrays, record = _read(path)
        _restore(method.network, arrays)
        method.certificates[:] = map(StageCertificate.model_validate, record["certificates"])
        costs = [PhaseCost(**each) for each in record["costs"]]
        progress = Progress(record["phase"], record["step"], record["before"], costs)
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{path}: not a checkpoint of this run ({error}); delete the file to start over"
        ) from error
    return progress, {name: array for name, array in arrays.items() if name.startswith("adam.")}


def save_pretrained(path: Path, network: nn.Module, cost: PhaseCost) -> None:
    """Keep a trained exposure model for other runs."""
    _write(path, _parameters(network), asdict(cost))


def load_pretrained(path: Path, network: nn.Module) -> PhaseCost:
    """Restore an exposure model in place; returns what it cost."""
    try:
        arrays, record = _read(path)
        _restore(network, arrays)
        return PhaseCost(**record)
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{path}: not an exposure model of this log and configuration ({error}); delete the "
            "file to train it again"
        ) from error


def restore_moments(optimiser: torch.optim.Adam, moments: Arrays) -> None:
    """Put Adam back where it was; what no loss has reached yet has no moments."""
    for place, parameter in enumerate(_trained(optimiser)):
        if f"adam.{place}.step" not in moments:
            continue
        optimiser.state[parameter] = {
            key: torch.from_numpy(moments[f"adam.{place}.{key}"]).clone()
            for key in ("step", "exp_avg", "exp_avg_sq")
        }


def _write(path: Path, arrays: Arrays, record: Json) -> None:
    arrays[RECORD] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes no keyword arrays
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def _read(path: Path) -> tuple[Arrays, Json]:
    with np.load(path, allow_pickle=False) as file:
        arrays: Arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(arrays.pop(RECORD).tobytes())


def _parameters(network: nn.Module) -> Arrays:
    return {name: each.detach().numpy() for name, each in network.named_parameters()}


def _restore(network: nn.Module, arrays: Arrays) -> None:
    """Owned parameters have as many entries as there are owners by now; others keep their shape."""
    owned = set()
    for name, entries in owned_parameters(network):
        replace_entries(entries, _entries(arrays, name))
        owned |= {f"{name}.{owner}" for owner in range(len(entries))}
    for name, parameter in network.named_parameters():
        if name not in owned:
            parameter.data.copy_(torch.from_numpy(arrays[name]))


def _entries(arrays: Arrays, name: str) -> list[torch.Tensor]:
    found = [torch.from_numpy(arrays[f"{name}.0"])]
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
