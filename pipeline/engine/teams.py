"""Which models share an actor, and what share of a GPU each actor gets: from their sizes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.errors import UserError

WEIGHTS_SHARE: Final = 0.6
"""Of a GPU's memory that weights may take; a batch takes half of what they leave, see `models.predict`."""
LEAST_GPU: Final = 0.05
"""Share of a GPU below which an actor has no room for CUDA itself, about 0.5 GB."""

Asked = Literal["auto", "always", "never"]
"""`--share-actor`."""


@dataclass(frozen=True, slots=True)
class Team:
    """Models that run in the same actors."""

    encoders: tuple[str, ...] = ()
    """Hashes of their encoders; none means all."""
    num_bytes: int = 0
    """Of their weights."""
    gpus: float = 0.0
    """Of each actor."""


def team_up(sizes: Mapping[str, int], *, asked: Asked, gpus_per_actor: float | None, room: int | None) -> list[Team]:
    """Put models together where their weights fit an actor's share of a GPU; on CPUs always, unless told otherwise.

    Args:
        sizes: hash of each encoder -> bytes of the models on it, in the order in which they run.
        asked: what the user wants.
        gpus_per_actor: share of a GPU for an actor of all models, or None on CPUs.
        room: bytes of memory of one GPU; None where it is not known, or models run on CPUs.

    Raises:
        UserError: the weights do not fit, with the sizes.
    """
    whole = Team(tuple(sizes), sum(sizes.values()), gpus_per_actor or 0.0)
    free = None if room is None else WEIGHTS_SHARE * room
    if gpus_per_actor is None or len(sizes) == 1 or asked == "always":
        teams = [Team((name,), size) for name, size in sizes.items()] if asked == "never" else [whole]
        _check(teams, free)
        return teams
    if asked == "never":
        return _apart(sizes, gpus_per_actor, free)
    if free is None or whole.num_bytes <= free * min(1.0, gpus_per_actor):
        return [whole]
    teams = _filled(sizes, gpus_per_actor, free * min(1.0, gpus_per_actor))
    _check(teams, free)
    return teams


def _apart(sizes: Mapping[str, int], gpus_per_actor: float, free: float | None) -> list[Team]:
    """Each by itself: they share what one actor would have got, by size, if they fit; else each gets as much."""
    total = sum(sizes.values())
    # Ray gives parts of one GPU, or whole ones.
    if gpus_per_actor > 1 or (free is not None and total > free * gpus_per_actor):
        teams = [Team((name,), size, gpus_per_actor) for name, size in sizes.items()]
    else:
        spread = gpus_per_actor - LEAST_GPU * len(sizes)
        teams = [
            Team((name,), size, int(1000 * (LEAST_GPU + max(0.0, spread) * size / max(1, total))) / 1000)
            for name, size in sizes.items()
        ]
    _check(teams, free)
    return teams


def _filled(sizes: Mapping[str, int], gpus: float, capacity: float) -> list[Team]:
    """Neighbours together as long as they fit, for later models may need what earlier ones say."""
    teams: list[Team] = []
    for name, size in sizes.items():
        if teams and teams[-1].num_bytes + size <= capacity:
            teams[-1] = Team((*teams[-1].encoders, name), teams[-1].num_bytes + size, gpus)
        else:
            teams.append(Team((name,), size, gpus))
    return teams


def _check(teams: list[Team], free: float | None) -> None:
    for team in teams:
        # A model runs on one GPU, however many its actor has.
        gpu = min(1.0, team.gpus)
        if free is not None and gpu and team.num_bytes > free * gpu:
            apart = ", or --share-actor never" if len(team.encoders) > 1 else ""
            told = " + ".join(f"{each.num_bytes / 1e9:.1f} GB" for each in teams)
            raise UserError(
                f"the models do not fit: their weights are {told}, and an actor may hold {free * gpu / 1e9:.1f} GB of "
                f"weights on its {gpu:g} GPU ({WEIGHTS_SHARE:.0%} of the memory); use larger GPUs or a larger "
                f"--gpus-per-actor{apart}"
            )
