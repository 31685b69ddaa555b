"""How text looks on a platform: rendering, splitting, pacing. Values in, values out, no I/O."""
