"""The papers' studies and real data, rerun from one command: ``python -m experiments list | run | all | report``.

A study is one file of ``experiments.studies``: a frozen ``Config``, ``run(config, seed)`` that returns arrays, and
tables and figures made of these arrays. ``python -m experiments run bias --seeds 10 --set tasks=500`` runs one;
``--with mine.py`` brings methods, a loss or a stream of your own (see ``experiments.own``). Everything is stored seed
by seed, and what is stored is not run again.
"""

import os

# One thread for the linear algebra: workers share the machine, and sums in another order would be other numbers.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from experiments.methods import Method, Numbers  # noqa: E402

__all__ = ["Method", "Numbers"]
