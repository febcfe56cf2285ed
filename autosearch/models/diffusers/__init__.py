"""Pipelines of diffusers as models to search."""
