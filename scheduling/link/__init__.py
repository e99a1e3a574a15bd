"""Radio links: from true geometry (`RadioLink`), replayed (`TraceLink`), constant (`FixedLink`), absent (`OffLink`)."""

from scheduling.link.base import UNAVAILABLE, LinkForecast, LinkModel, LinkTrace
from scheduling.link.drive import DRIVES, DriveCondition, drive_geometry
from scheduling.link.fixed import FixedLink, FixedLinkConfig, OffLink
from scheduling.link.radio import RadioLink
from scheduling.link.radio_config import RadioConfig
from scheduling.link.replay import Recording, TraceConfig, TraceLink, read_trace, record, write_trace

__all__ = [
    "DRIVES",
    "UNAVAILABLE",
    "DriveCondition",
    "FixedLink",
    "FixedLinkConfig",
    "LinkForecast",
    "LinkModel",
    "LinkTrace",
    "OffLink",
    "RadioConfig",
    "RadioLink",
    "Recording",
    "TraceConfig",
    "TraceLink",
    "drive_geometry",
    "read_trace",
    "record",
    "write_trace",
]
