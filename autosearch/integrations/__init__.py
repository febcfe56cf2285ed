"""Working together with other tools: a study in Ray Tune, or in Optuna's dashboard.

Nothing is imported here: each module needs a package of its own.
"""
