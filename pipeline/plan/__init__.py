"""Which units there are, decided once: ids, spans, bundles, and the plan as numbered Parquet files."""

from pipeline.plan.forgotten import forgotten
from pipeline.plan.generations import UnitRef
from pipeline.plan.moves import NOWHERE, Moves
from pipeline.plan.planned import Planned, read_planned
from pipeline.plan.report import PlanReport, format_absent, format_moves, format_report
from pipeline.plan.store import extend, held, load_unit, units
from pipeline.plan.superseded import Superseded, superseded
from pipeline.plan.unseen import unseen

__all__ = [
    "NOWHERE",
    "Moves",
    "PlanReport",
    "Planned",
    "Superseded",
    "UnitRef",
    "extend",
    "forgotten",
    "format_absent",
    "format_moves",
    "format_report",
    "held",
    "load_unit",
    "read_planned",
    "superseded",
    "units",
    "unseen",
]
