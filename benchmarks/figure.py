"""One picture of it all: how many times as fast as each peer, by the number of features."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from benchmarks.timing import Section


def times(stored: dict[str, Any], first: str, other: str) -> float:
    """Median ratio of rates, from what a race stored."""
    ours, theirs = (each["work"] / np.array(each["seconds"]) for each in (stored[first], stored[other]))
    return float(np.median(ours / theirs))


def draw(sections: list[Section], path: pathlib.Path) -> bool:
    """Draw what the section on one stream measured; whether it was there."""
    found = [each for each in sections if each.name == "stream"]
    if not found:
        return False
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shapes = [name for name in found[0].measured if name.endswith("n = 40")]
    peers = [name for name in found[0].measured[shapes[0]] if name not in ("owo", "kernel")]
    figure, axes = plt.subplots(figsize=(8.0, 4.0), layout="constrained")
    width = 0.8 / len(shapes)
    shades = plt.get_cmap("cividis")(np.linspace(0.1, 0.85, len(shapes)))
    for k, shape in enumerate(shapes):
        heights = [times(found[0].measured[shape], "owo", peer) for peer in peers]
        places = np.arange(len(peers)) + (k - (len(shapes) - 1) / 2) * width
        axes.bar(places, heights, width, color=shades[k], label=shape.split(",")[0])
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xticks(np.arange(len(peers)), peers, rotation=20, ha="right")
    axes.set_ylabel("times as fast as")
    axes.set_title("One stream, tasks of 40 points (* other work: throughput only)", loc="left")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return True
