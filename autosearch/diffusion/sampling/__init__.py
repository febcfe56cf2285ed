"""Running a plan: the loop over steps, and what it remembers."""
