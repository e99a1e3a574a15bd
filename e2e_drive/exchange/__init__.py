"""Foreign drives into the one log format, and logs out to formats that others read."""

from e2e_drive.exchange.foreign import ForeignDrive, ForeignFrame, SourceCamera
from e2e_drive.exchange.importing import write_log
from e2e_drive.exchange.views import View, own_views, views_of_rig

__all__ = ["ForeignDrive", "ForeignFrame", "SourceCamera", "View", "own_views", "views_of_rig", "write_log"]
