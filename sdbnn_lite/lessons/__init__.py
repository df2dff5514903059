"""What a notebook imports: set-up, checks, tables, sliders and the explorers."""
