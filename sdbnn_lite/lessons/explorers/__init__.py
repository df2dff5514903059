"""The explorers: one file each, a pure ``compute``, a pure ``draw``, a sentence; ``widgets`` gives them sliders."""
