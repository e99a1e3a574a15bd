"""Errors that are told in one line instead of a traceback, and the exit codes they end the process with."""

from __future__ import annotations

EXIT_BAD_INPUT = 2  # the user asked for something that cannot be; nothing was written
EXIT_WORLD_DIED = 3  # the world went away mid-way; what was recorded until then is kept
EXIT_INTERRUPTED = 130  # Ctrl-C, as shells number it


class UserError(ValueError):
    """Bad input. The message says what was wrong, where, what was received and what would do, in one line."""
