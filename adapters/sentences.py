"""What people are told where an error's own sentence says too little."""

from __future__ import annotations

FAILED = "The agent ran into an error while working on that."
MISCONFIGURED = "This agent isn't set up correctly. Please tell whoever runs this bot."
CUT_OFF = "The answer was cut off before its end."
FILTERED = "The answer was cut off by the agent's content filter."
TOO_LONG = "The answer was cut off because it grew too long."
USED_UP = "The agent's account is used up. Please tell whoever runs this bot."
LOST = "The connection broke before the answer was complete."
NOT_KEPT = "The connection broke before the answer was complete, and the agent didn't keep it."
NO_FILE = "The agent no longer has that file."
NO_FILES = "This agent can't take files. Please send your message without them."
SILENT = "The agent finished without an answer. Please ask again."
FILE_TOO_LARGE = "The agent's file is too large."
TOO_LARGE = "That is too large for the agent."
UNREADABLE = "One of the files couldn't be read. Please send it again."
WRONG_TYPE = "The agent doesn't take files of that type."
