"""Sampling from diffusion models: schedules, solvers, sites, plans and the sampler."""
