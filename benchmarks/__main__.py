"""Measure speed and memory, beside peers on the same work: tables, a figure, and a page.

Sections: stream, grid, metric, optimum, points, startup, growth, files. Peers come with ``pip install -e ".[bench]"``;
those that are not installed are named. Entries of a race are timed in turn within each repetition; medians. All run on
one core unless a row says otherwise. Freed memory stays with the process, so that all work in memory that was used
before; what new memory costs is measured by itself.

Usage: python -m benchmarks [SECTION ...] [--quick] [--repetitions N] [--out results/bench] [--docs docs]
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported

import argparse  # noqa: E402
import contextlib  # noqa: E402
import importlib  # noqa: E402
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import pathlib  # noqa: E402
import platform  # noqa: E402
import shutil  # noqa: E402

from benchmarks import figure  # noqa: E402
from benchmarks.timing import Section, keep_memory  # noqa: E402

SECTIONS = ("stream", "grid", "metric", "optimum", "points", "startup", "growth", "files")
NAMED = ("owo", "numpy", "numba", "scipy", "cvxpy", "river", "scikit-learn", "vowpalwabbit", "jax", "torch")


def versions() -> str:
    """Of all that is compared."""
    found = [f"Python {platform.python_version()}"]
    for name in NAMED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join(found)


def machine() -> str:
    """What it runs on."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores"


def page(sections: list[Section], options: argparse.Namespace, picture: str = "") -> str:
    """All of it as Markdown."""
    command = "python -m benchmarks" + (" --quick" if options.quick else "") + " --docs docs"
    head = f"# Performance\n\nMade by `{command}`; {versions()}."
    shown = [f"![Times as fast as each peer]({picture})"] if picture else []
    return "\n\n".join([head, *shown, *(each.markdown() for each in sections)]) + "\n"


def renewed(text: str, sections: list[Section]) -> str:
    """A page with some of its sections measured anew; the others stay."""
    head, *parts = ("\n" + text).split("\n## ")
    held = {part.split("\n", 1)[0].split(":")[0]: part.rstrip() for part in parts}
    for each in sections:
        held[each.title.split(":")[0]] = each.markdown().removeprefix("## ")
    return "\n\n## ".join([head.strip(), *held.values()]) + "\n"


def main() -> None:
    """Measure, print, write."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the points")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/bench"))
    parser.add_argument(
        "--docs",
        type=pathlib.Path,
        help="write performance.md and its figure into this folder, too; of some "
        "sections, if sections are named, and leave the others as they are",
    )
    options = parser.parse_args()
    unknown = [each for each in options.sections if each not in SECTIONS]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    keep_memory(2**30)
    done = []
    for name in options.sections or SECTIONS:
        found = importlib.import_module(f"benchmarks.{name}").section(
            0.1 if options.quick else 1.0, options.repetitions
        )
        (options.out / f"{name}.json").write_text(json.dumps(found.measured, indent=1))
        found.about += (
            f"\nMedians of {options.repetitions} repetitions, of half as many where one is long, on: {machine()}."
        )
        print(found.markdown(), end="\n\n", flush=True)
        done.append(found)
    picture = "performance.png" if figure.draw(done, options.out / "performance.png") else ""
    (options.out / "performance.md").write_text(page(done, options, picture))
    if options.docs is None:
        return
    kept = options.docs / "performance.md"
    if picture:
        shutil.copy(options.out / picture, options.docs / "figures" / picture)
    if options.sections and kept.exists():
        kept.write_text(renewed(kept.read_text(), done))
        return
    kept.write_text(page(done, options, picture and f"figures/{picture}"))


if __name__ == "__main__":
    main()
