"""Video in: index, decode, plan, batch, transform.

``plan``, ``index`` and ``decode`` need no torch; ``loader``, ``transforms`` and ``input_mode`` do.
"""
