"""Training of the bundled models and of their features; no part of the installed package."""
