"""The studies, each a file; ``STUDIES`` lists them in the order of ``experiments all``."""

from experiments.studies import ablations, bias, drift, feature_map, parameter_free

STUDIES = {
    each.name: each for each in (feature_map.STUDY, bias.STUDY, parameter_free.STUDY, drift.STUDY, ablations.STUDY)
}
