"""Learners in the Hilbert space of a kernel: the bias and the weights of tasks are functions.

``KernelOnlineWithinOnline`` learns with any kernel, within a budget of points; ``Gaussian`` and ``Polynomial`` are
kernels; ``Nystroem`` gives comparators. On long streams, ``owo.streams.RandomFourier`` features with a plain
``OnlineWithinOnline`` are the faster, approximate way to a Gaussian kernel.
"""

from owo.rkhs.expansion import Expansion
from owo.rkhs.functions import Gaussian, Polynomial
from owo.rkhs.learner import KernelOnlineWithinOnline
from owo.rkhs.nystroem import Nystroem

__all__ = ["Expansion", "Gaussian", "KernelOnlineWithinOnline", "Nystroem", "Polynomial"]
