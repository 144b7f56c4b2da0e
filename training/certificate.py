"""The proof, made at the end of each stage, that training it changed nothing upstream.

Decisions
- Two hashes per stage: all parameters its owner will ever have, and the scores of a fixed probe
  batch over the owners so far. Equal hashes are equal bits.
- A model of one segment has nothing upstream; its certificate identifies it.
- A certificate is issued only if every upstream stage still hashes to what its own certificate
  said; otherwise the run stops: what it would export is not the model that was recovered.

Dimension letters: P probe requests or items, M vector dims.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bundle.manifest import StageCertificate
from training.data import TrainingData
from training.errors import CertificateError
from training.model import ServedTower, TwoTower
from training.ownership import ByOwner, owned_parameters

PROBES = 64


def certify(
    model: TwoTower, data: TrainingData, stage: int, earlier: Sequence[StageCertificate]
) -> StageCertificate:
    """Check all earlier certificates against the model as it is now, and issue the next."""
    for upstream, certificate in enumerate(earlier):
        if (_frozen_hash(model, upstream), _probe_hash(model, data, upstream)) != (
            certificate.frozen_sha256,
            certificate.probe_sha256,
        ):
            raise CertificateError(
                f"stage {data.stages[stage]!r} changed parameters or scores of upstream stage "
                f"{certificate.stage!r}"
            )
    return StageCertificate(
        stage=data.stages[stage],
        frozen_sha256=_frozen_hash(model, stage),
        probe_sha256=_probe_hash(model, data, stage),
        upstream_bitwise_equal=True,
    )


def certify_whole(
    name: str, user: ServedTower, item: ServedTower, data: TrainingData
) -> StageCertificate:
    """The certificate of a model of one segment."""
    digest = hashlib.sha256()
    for tower in (user, item):
        for parameter, values in tower.named_parameters():
            digest.update(f"{parameter}{tuple(values.shape)}".encode())
            digest.update(values.detach().numpy().tobytes())
    with torch.no_grad():
        scores_PP = _scores(user(_probe(data.requests)), item(_probe(data.items)))
    return StageCertificate(
        stage=name,
        frozen_sha256=digest.hexdigest(),
        probe_sha256=hashlib.sha256(scores_PP.numpy().tobytes()).hexdigest(),
        upstream_bitwise_equal=True,
    )


def _frozen_hash(model: TwoTower, stage: int) -> str:
    """Hash of every block owned by the stage or upstream of it."""
    digest = hashlib.sha256()
    for name, entries in owned_parameters(model):
        for owner, entry in enumerate(list(entries)[: stage + 1]):
            digest.update(f"{name}.{owner}{tuple(entry.shape)}".encode())
            digest.update(entry.detach().numpy().tobytes())
    return digest.hexdigest()


def _probe_hash(model: TwoTower, data: TrainingData, stage: int) -> str:
    """Hash of the stage's score of each probe request with each probe item."""
    with torch.no_grad():
        users = model.user(_probe(data.requests), stage + 1)
        items = model.item(_probe(data.items), stage + 1)
        scores_PP = _scores(users, items)
    return hashlib.sha256(scores_PP.numpy().tobytes()).hexdigest()


def _scores(users: ByOwner, items: ByOwner) -> Tensor:
    return torch.cat(users, dim=1) @ torch.cat(items, dim=1).T


def _probe(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rows spread evenly over a table."""
    count = len(next(iter(arrays.values())))
    rows_P = torch.from_numpy(np.linspace(0, count - 1, min(PROBES, count)).astype(np.int64))
    return {name: array[rows_P] for name, array in arrays.items()}
