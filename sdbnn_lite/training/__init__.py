"""Recipes, the run folder and the training loop."""
