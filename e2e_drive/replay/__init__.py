"""A recorded drive, driven again at the desk: exactly, by other weights, or as schedules alone."""

from e2e_drive.replay.recording import Recording, Tick, open_recording

__all__ = ["Recording", "Tick", "open_recording"]
