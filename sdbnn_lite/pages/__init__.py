"""What runs, checks and renders the notebooks and fills the README."""
