"""Everything that ``theory`` claims, held against runs: ``python -m theory.validate``, or ``make validate``.

A run of it is made of ``part.Part``s, each of many units: pure functions of their name, which may be computed in any
order, in any process, today or tomorrow. ``store`` keeps what came of them, ``runner`` works them off, ``command`` is
the terminal, ``page`` the report.
"""
