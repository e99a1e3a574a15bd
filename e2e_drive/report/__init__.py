"""What a person sees of a drive: the table, the video, the files beside them."""

from e2e_drive.report.files import machine, versions, write_json, write_text
from e2e_drive.report.moment import Moment, View
from e2e_drive.report.table import print_drive
from e2e_drive.report.tally import Tally
from e2e_drive.report.video import VideoWriter

__all__ = ["Moment", "Tally", "VideoWriter", "View", "machine", "print_drive", "versions", "write_json", "write_text"]
