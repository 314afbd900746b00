"""Processes of their own, for tests of what a new one finds."""

from __future__ import annotations

import fcntl
import os
import pathlib
import pickle
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def start(*arguments, **environment):
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]), **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process):
    out, err = process.communicate(timeout=560)
    assert process.returncode == 0, err
    return out


def run(*arguments, **environment):
    return finish(start(*arguments, **environment))


def once(tmp_path_factory, name, make):
    """What ``make(folder)`` returns and the folder, made by the first test process that asks, for all of them."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, result = root / name, root / f"{name}.pickle"
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            folder.mkdir(exist_ok=True)
            result.write_bytes(pickle.dumps(make(folder)))
        return pickle.loads(result.read_bytes()), folder
