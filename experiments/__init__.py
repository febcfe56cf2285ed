"""Ready searches: one YAML file each, run by name."""
