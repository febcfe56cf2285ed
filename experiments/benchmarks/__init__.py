"""Measured budgets: one small file for each, run by ``make bench``."""
