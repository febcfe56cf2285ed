"""Named solvers of the literature: one small file for each family."""
