"""What both front ends are built from. Knows no platform."""
