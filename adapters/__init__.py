"""Backends as async clients, each an `adapters.base.Agent`. Usable without the bridge."""
