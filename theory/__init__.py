"""The mathematics of owo put to the test: bounds, rates and adversaries; runs from a checkout."""
