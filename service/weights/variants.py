"""Variants: a share of a scenario's users who are served other weights, to compare or to roll out.

Decisions
- `split` begins a variant or changes it; what it does not name, share or weights, stays.
- No change of one variant moves a user of another: a share can only grow into what is free.
- A variant that ended, or is promoted, leaves its users to the scenario's own weights.

Use: `split(store, Change("feed", author, reason), "bold", share=0.05, weights=weights)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from service.weights.changes import Change, ChangeError, Weights, amend, existing, own_weights
from service.weights.record import MAX_VARIANTS, Variant, WeightsRecord
from service.weights.slots import SLOTS, Slots, TooFewSlotsError, resized, slot_of
from service.weights.store import WeightsStore

CONTROL = "control"  # what people call the users of no variant


class UnknownVariantError(Exception):
    """The scenario has no variant of this name."""

    def __init__(self, variant: str, existing: list[str]) -> None:
        self.variant, self.existing = variant, existing
        super().__init__(f"there is no variant {variant!r}; there are {existing}")


def split(
    store: WeightsStore,
    change: Change,
    variant: str,
    share: float | None = None,
    weights: Weights | None = None,
) -> WeightsRecord:
    """Give a variant a share of the users, other weights, or both; a new one needs both."""
    wanted = None if share is None else _slots_in(share)

    def edit(before: WeightsRecord | None, _: datetime) -> Mapping[str, object]:
        variants = existing(before, change).variants
        old = variants.get(variant)
        _check_variant(variant, variants, share, weights)
        new = Variant(
            weights=weights or (old.weights if old else {}),
            slots=_resized(variant, variants, wanted, change.scenario),
        )
        return {"variants": {**variants, variant: new}}

    return amend(store, change, edit)


def end_variant(store: WeightsStore, change: Change, variant: str) -> WeightsRecord:
    """Serve a variant's users with the scenario's own weights again."""

    def edit(before: WeightsRecord | None, _: datetime) -> Mapping[str, object]:
        return {"variants": _without(variant, existing(before, change))[1]}

    return amend(store, change, edit)


def promote(
    store: WeightsStore,
    change: Change,
    variant: str,
    *,
    check: Callable[[Weights], object] = lambda _: None,
) -> WeightsRecord:
    """Make a variant's weights the scenario's own, and end the variant.

    `check` may raise if these cannot be served any more.
    """

    def edit(before: WeightsRecord | None, now: datetime) -> Mapping[str, object]:
        ended, others = _without(variant, existing(before, change))
        check(ended.weights)
        return {**own_weights(before, ended.weights, now), "variants": others}

    return amend(store, change, edit)


def _without(variant: str, record: WeightsRecord) -> tuple[Variant, dict[str, Variant]]:
    """A variant, and the others."""
    if variant not in record.variants:
        raise UnknownVariantError(variant, sorted(record.variants))
    others = {name: other for name, other in record.variants.items() if name != variant}
    return record.variants[variant], others


def _check_variant(
    name: str, variants: Mapping[str, Variant], share: float | None, weights: Weights | None
) -> None:
    if name == CONTROL:
        raise ChangeError("variant", name, f"another name: {CONTROL} are the users of no variant")
    if name not in variants and share is None:
        raise ChangeError("share", share, "a share, as the variant is new")
    if name not in variants and weights is None:
        raise ChangeError("weights", weights, "weights, as the variant is new")
    if share is None and weights is None:
        raise ChangeError("share", share, "a share, weights, or both")
    if name not in variants and len(variants) >= MAX_VARIANTS:
        raise ChangeError("variant", name, f"at most {MAX_VARIANTS} variants; end one first")


def _slots_in(share: float) -> int:
    slots = share * SLOTS
    if not 0 <= share <= 1 or abs(slots - round(slots)) > 1e-6:  # floats are not exact
        raise ChangeError("share", share, f"a multiple of {1 / SLOTS:g} from 0 to 1")
    return round(slots)


def _resized(
    name: str, variants: Mapping[str, Variant], wanted: int | None, scenario: str
) -> Slots:
    own = variants[name].slots if name in variants else ()
    if wanted is None:
        return own
    others = [other.slots for key, other in variants.items() if key != name]
    try:
        return resized(own, others, wanted, slot_of(scenario, name))
    except TooFewSlotsError as error:
        free = f"at most {error.available / SLOTS:g}, which no other variant holds"
        raise ChangeError("share", wanted / SLOTS, free) from None
