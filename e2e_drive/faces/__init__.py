"""Faces to other people's simulators, all on the one `DrivingStack.step`: a Leaderboard agent (`leaderboard_agent`), a
gymnasium environment (`gym_env`), a policy service for AlpaSim (`policy_service`). Each needs its own extra or host, so
nothing is imported here."""
