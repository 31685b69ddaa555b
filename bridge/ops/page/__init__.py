"""The operator's page `/ops/`: what the bridge does now, what failed and why, and the few things to be done about it."""
