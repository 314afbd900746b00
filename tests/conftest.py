import os

# Two test processes share the machine: one thread each for the linear algebra, set before NumPy is imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")  # figures are drawn to files: no test needs a display

# Compiled kernels stay in the default cache beside the sources, so that a second run of the tests compiles nothing.
# Tests of the cache itself point NUMBA_CACHE_DIR of their own processes at a folder of their own.

from hypothesis import HealthCheck, settings  # noqa: E402

# No deadline, and no complaint of slow data: the first example of a test may be the one that compiles a kernel.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in every run, so that a failure is the change's own and can be repeated anywhere.
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True, database=None)
settings.load_profile("ci" if os.environ.get("CI", "").lower() not in ("", "0", "false") else "dev")
