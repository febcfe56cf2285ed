"""The search: what is searched, the loop, measuring, validation and workers."""
