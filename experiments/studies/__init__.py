"""The studies, each a file; ``STUDIES`` lists them in the order of ``experiments all``."""

from experiments.studies import ablations, bias, drift, feature_map, orders, parameter_free, real

STUDIES = {each.STUDY.name: each.STUDY for each in (feature_map, bias, parameter_free, real, orders, drift, ablations)}
