"""The studies, each a file; ``STUDIES`` lists them in the order of ``experiments all``."""

from experiments.studies import bias

STUDIES = {each.name: each for each in (bias.STUDY,)}
