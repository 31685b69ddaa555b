"""The operator's page `/ops/`: what the bridge does now, what failed and why, and what to do about it."""
