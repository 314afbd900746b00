"""Tests of the laws that a loss or a learner must obey, for your own classes as for ours.

``check_loss(MyLoss())``, ``check_vector_loss(MyLoss(3))`` for a loss of k scores, and ``check_law(MyLaw())`` return
``None`` or raise ``ContractError`` with the property that fails and the numbers at which it fails.
"""

from __future__ import annotations

from owo.checks.contract import ContractError
from owo.checks.laws import check_law
from owo.checks.losses import check_loss
from owo.checks.vector import check_vector_loss

__all__ = ["ContractError", "check_law", "check_loss", "check_vector_loss"]
