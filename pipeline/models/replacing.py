"""Other layers in the place of linear ones."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def replace_linears(module: nn.Module, make: Callable[[nn.Linear], nn.Module], *, but: type | tuple[()] = ()) -> None:
    """Put what `make` gives in the place of every linear layer below a module, except below modules of one kind.

    One after the other, and nothing holds those that were replaced: memory has one layer twice.
    """
    for name in [name for name, _ in module.named_children()]:
        child = getattr(module, name)
        if isinstance(child, nn.Linear):
            setattr(module, name, make(child))
        elif not isinstance(child, but):
            replace_linears(child, make, but=but)
