"""The explorers: one file each, a pure ``compute``, a pure ``draw``, a sentence; ``widgets`` gives them sliders.

Where that is too long for a file, ``compute`` stands in one of its own, called ``..._numbers``.
"""
