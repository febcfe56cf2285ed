"""A package of one's own: a model, a space, objectives, an algorithm and a logger."""
