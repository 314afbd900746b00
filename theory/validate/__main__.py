"""``python -m theory.validate``."""

import os
import sys

# One thread a process for the linear algebra, set before NumPy is imported: units already fill the cores, and sums of
# several threads would depend on how many there are.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

if __name__ == "__main__":
    import signal

    from theory.validate.command import main

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it leaves all in order, as with Ctrl-C
    sys.exit(main())
