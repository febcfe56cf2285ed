"""What a recipe leaves out, by rules of the literature: one small file for each kind."""
