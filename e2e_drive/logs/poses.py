"""The one message that the others are made of."""

from __future__ import annotations

from typing import Any

from bev import Pose2D
from e2e_drive.logs.schema import message_class

_Pose2D = message_class("Pose2D")


def pose_message(pose: Pose2D) -> Any:
    return _Pose2D(x=pose.x, y=pose.y, yaw=pose.yaw)


def pose_of(message: Any) -> Pose2D:
    return Pose2D(message.x, message.y, message.yaw)
