"""What runs, checks and renders the notebooks and fills the tables of README and docs/."""
