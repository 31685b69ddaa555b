"""How many examples a property is tried with."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100  # what hypothesis tries where nothing else is said


def examples(count: int) -> settings:
    """`count` examples, and as many fewer as the profile of this run has fewer than the usual."""
    return settings(deadline=None, max_examples=max(1, count * settings().max_examples // USUAL))
