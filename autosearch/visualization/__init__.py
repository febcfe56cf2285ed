"""Figures, the HTML report, and what a run leaves beside its journal."""
