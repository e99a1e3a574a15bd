"""Makes `gymnasium.make("e2e_drive/Drive-v0")` work. Light, since gymnasium calls it whenever it is imported."""

from __future__ import annotations

ENV_ID = "e2e_drive/Drive-v0"


def register_envs() -> None:
    """A second call does nothing."""
    import gymnasium

    if ENV_ID not in gymnasium.registry:
        gymnasium.register(id=ENV_ID, entry_point="e2e_drive.faces.gym_env:DriveEnv")
