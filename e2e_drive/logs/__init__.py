"""One log format for everything: MCAP with protobuf schemas."""

from e2e_drive.logs.foxglove import RoadUser
from e2e_drive.logs.labels import BoxLabel, Labels
from e2e_drive.logs.messages import EgoTruth, InfractionNote
from e2e_drive.logs.reader import Entry, LogEnd, read_drive, read_end, read_metadata
from e2e_drive.logs.writer import DriveLog

__all__ = [
    "BoxLabel",
    "DriveLog",
    "EgoTruth",
    "Entry",
    "InfractionNote",
    "Labels",
    "LogEnd",
    "RoadUser",
    "read_drive",
    "read_end",
    "read_metadata",
]
