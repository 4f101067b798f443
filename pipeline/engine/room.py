"""Which units have room on a cluster: one that takes more than there is stays pending and holds up no other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.engine.memory import Largest
from pipeline.engine.resources import NoRoom, Pools


@dataclass(frozen=True, slots=True)
class Fitting:
    """Pools that have room for most units, and what has none there."""

    pools: Pools
    left: tuple[int, ...] = ()
    """Numbers of the units without room."""
    why: str = ""
    """What the least of them would take."""


def fitting(units: Sequence[Largest], choose: Callable[[Largest], Pools], size: Callable[[Largest], int]) -> Fitting:
    """Pools for all units, or for as many of the smallest ones as have room.

    Args:
        units: what each takes.
        choose: pools for the largest of some.
        size: what it is that makes one unit larger than another.

    Raises:
        NoRoom: not even the smallest one has room.
        UserError: it is not memory that is lacking.
    """
    try:
        return Fitting(choose(Largest.of(units)))
    except NoRoom as error:
        why = error
    ascending = sorted(range(len(units)), key=lambda number: size(units[number]))
    found: Pools | None = None
    fit, too_many = 0, len(units)
    while too_many - fit > 1:
        count = (fit + too_many) // 2
        try:
            found, fit = choose(Largest.of(units[number] for number in ascending[:count])), count
        except NoRoom as error:
            why, too_many = error, count
    if found is None:
        raise why
    return Fitting(found, tuple(sorted(ascending[fit:])), str(why))
