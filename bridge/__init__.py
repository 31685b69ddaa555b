"""Threadbridge: an AI agent in Slack and Discord threads."""
