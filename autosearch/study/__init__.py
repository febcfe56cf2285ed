"""A study: its journal, events, front, and picking from it."""
