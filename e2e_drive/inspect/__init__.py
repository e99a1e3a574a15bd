"""Scans drive logs for what went wrong: when, how badly, by which numbers, with a picture of it."""

from e2e_drive.inspect.detect import DETECTORS, detect
from e2e_drive.inspect.findings import Finding, Kind, Severity
from e2e_drive.inspect.scan import Scan, scan_log
from e2e_drive.inspect.words import Question, question_of

__all__ = ["DETECTORS", "Finding", "Kind", "Question", "Scan", "Severity", "detect", "question_of", "scan_log"]
