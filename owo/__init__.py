"""Online-within-online meta-learning: many small related streams, each learned from what all had in common.

>>> import owo
>>> learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), update="task")

``losses``, ``laws`` and ``streams`` hold the parts, ``hindsight`` and ``oracles`` what was possible, ``exact`` the
baseline with a solver inside, ``checks`` tests for parts of your own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from owo.laws import (
    AdaptiveNorm,
    Ball,
    CoinBetting,
    DualAveraging,
    Frozen,
    GrowingFTRL,
    Implicit,
    InverseSqrt,
    MagnitudeDirection,
    law,
)
from owo.ledger import Certificate, CertificateViolation, Ledger
from owo.losses import (
    Absolute,
    EpsilonInsensitive,
    Hinge,
    Huber,
    Logistic,
    MulticlassHinge,
    Pinball,
    Softmax,
    Squared,
    SquaredHinge,
    loss,
)
from owo.online import OnlineWithinOnline
from owo.spans import SpanLedger
from owo.spill import Spill
from owo.streams import Block, Task

if TYPE_CHECKING:
    from owo.configurations import Configuration
    from owo.grid import Grid
    from owo.intervals import Intervals
    from owo.many import run_many
    from owo.merging import merged
    from owo.tuning_free import TuningFree

__version__ = "0.1.0"

_LATER = ("checks", "exact", "hindsight", "oracles", "plotting", "reference", "river", "rkhs", "sklearn", "streams")
_HOMES = {
    "Configuration": "configurations",
    "Grid": "grid",
    "Intervals": "intervals",
    "TuningFree": "tuning_free",
    "merged": "merging",
    "run_many": "many",
}

__all__ = [
    "Absolute",
    "AdaptiveNorm",
    "Ball",
    "Block",
    "Certificate",
    "CertificateViolation",
    "CoinBetting",
    "Configuration",
    "DualAveraging",
    "EpsilonInsensitive",
    "Frozen",
    "Grid",
    "GrowingFTRL",
    "Hinge",
    "Huber",
    "Implicit",
    "Intervals",
    "InverseSqrt",
    "Ledger",
    "Logistic",
    "MagnitudeDirection",
    "MulticlassHinge",
    "OnlineWithinOnline",
    "Pinball",
    "Softmax",
    "SpanLedger",
    "Spill",
    "Squared",
    "SquaredHinge",
    "Task",
    "TuningFree",
    "law",
    "loss",
    "merged",
    "run_many",
]


def __getattr__(name: str) -> Any:
    """Load the heavier modules on first use, so that ``import owo`` stays quick."""
    if name in _LATER:
        return importlib.import_module(f"owo.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"owo.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'owo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_HOMES})
