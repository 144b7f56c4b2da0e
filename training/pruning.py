"""Cumulative percentile-based pruning, CPP: which units a stage keeps, which it frees.

Decisions
- A unit's information is the L1 norm of its incoming weights; of a table, that of the column.
- τ is the share of information that is PRUNED: from the least informative unit on, prune while the
  pruned sum is at most τ of the total. `tau_mode: retained` reads τ the other way (Fig. 4's prose).
- `form: ratio` prunes a share τ of the units instead, whatever they hold: the paper's ablation.
- `fresh_units` and `fresh_columns` give every later stage new hidden units and columns beside the
  freed ones (not in the paper): a stage that must learn its objective in half of what upstream left
  is short of capacity. Served vectors keep their length.
- At least one unit is kept, and at least one is freed for each stage still to come.
- Output units are chosen jointly: coordinate k of both towers survives by the product of both
  sides' information, |W_user[k]|₁·|W_item[k]|₁, or else e_t·v_t would pair unrelated coordinates.
  With fixed segment sizes, CPP gives the ranking and the size says how many.

Dimension letters: U units of the last owner in one layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.method_config import PruningConfig
from training.model import Tower, TowerSplit, TwoTower
from training.ownership import owned_parameters


def keep_by_percentile(information_U: Tensor, tau: float, spare: int) -> Tensor:
    """[U] marks of the units to keep; the others hold at most τ of the information.

    `spare` units at least are freed, and one at least is kept. Equal units go by position.
    """
    order_U = torch.argsort(information_U, stable=True)
    cumulative_U = torch.cumsum(information_U[order_U].to(torch.float64), dim=0)
    pruned = int((cumulative_U <= tau * cumulative_U[-1]).sum())
    return _keep_all_but(order_U[: min(max(pruned, spare), len(order_U) - 1)], len(order_U))


def keep_by_ratio(information_U: Tensor, tau: float, spare: int) -> Tensor:
    """[U] marks of all but the least informative share τ of the units; bounds as above."""
    units = len(information_U)
    return keep_largest(information_U, units - min(max(round(tau * units), spare), units - 1))


def keep_largest(information_U: Tensor, count: int) -> Tensor:
    """[U] marks of the `count` most informative units."""
    order_U = torch.argsort(information_U, stable=True)
    return _keep_all_but(order_U[: len(order_U) - count], len(order_U))


def prune(
    model: TwoTower, config: PruningConfig, *, stages: int, sizes: tuple[int, ...] | None, seed: int
) -> None:
    """Split the last owner's units: what it keeps stays, the rest goes to the next stage.

    `sizes` fixes the length of each segment; with None CPP decides that too.
    """
    owner, spare = model.owners - 1, stages - model.owners
    output_U = _output_information(model)
    keep_output = (
        _keep(output_U, config.tau, config, spare)
        if sizes is None
        else keep_largest(output_U, sizes[owner])
    )
    generator = torch.Generator().manual_seed(seed + model.owners)
    for tower in (model.user, model.item):
        tower.split(_tower_split(tower, config, spare, keep_output, generator))
    if config.reinitialise:
        _draw_afresh(model, seed)


def _tower_split(
    tower: Tower,
    config: PruningConfig,
    spare: int,
    output: Tensor,
    generator: torch.Generator,
) -> TowerSplit:
    return TowerSplit(
        tables={
            place: _keep(encoder.information(), config.tau_tables, config, spare)
            for place, encoder in tower.tables().items()
        },
        hidden=[
            _keep(layer.information(), config.tau, config, spare) for layer in tower.dense[:-1]
        ],
        output=output,
        fresh_units=config.fresh_units,
        fresh_columns=config.fresh_columns,
        generator=generator,
    )


def _keep(information_U: Tensor, tau: float, config: PruningConfig, spare: int) -> Tensor:
    keep = keep_by_percentile if config.form == "percentile" else keep_by_ratio
    return keep(information_U, tau if config.tau_mode == "pruned" else 1.0 - tau, spare)


def _output_information(model: TwoTower) -> Tensor:
    user_U, item_U = (tower.dense[-1].information() for tower in (model.user, model.item))
    return user_U * item_U


def _draw_afresh(model: TwoTower, seed: int) -> None:
    """Give the newest owner's units values of the same spread, without their content."""
    generator = torch.Generator().manual_seed(seed + model.owners)
    for name, entries in owned_parameters(model):
        if not name.endswith("log_scales"):
            last = entries[-1].data
            spread = last.std(correction=0)
            last.copy_(torch.randn(last.shape, generator=generator) * spread)


def _keep_all_but(pruned: Tensor, units: int) -> Tensor:
    keep_U = torch.ones(units, dtype=torch.bool)
    keep_U[pruned] = False
    return keep_U
