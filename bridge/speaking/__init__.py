"""Agents and webhooks that speak first: `POST /threads`, and the same as tools at `/mcp`."""
