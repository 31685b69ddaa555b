"""The platforms, in the same rooms."""
