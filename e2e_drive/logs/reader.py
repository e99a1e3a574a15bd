"""Reads a drive log back into our own types, however abruptly the file ends."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Channel, Message, Metadata, Schema
from mcap.stream_reader import StreamReader
from mcap.writer import MCAP0_MAGIC
from mcap_protobuf.decoder import DecoderFactory

from e2e_drive.errors import UserError
from e2e_drive.logs import labels as lb
from e2e_drive.logs import messages as m

_OF_TOPIC = {
    "/ego": m.ego_of,
    "/hint": m.hint_of,
    "/link": m.link_of,
    "/schedule": m.schedule_of,
    "/timeline": m.timeline_of,
    "/trajectory": m.trajectory_of,
    "/control": m.control_of,
    "/truth": m.truth_of,
    "/labels": lb.labels_of,
    "/infraction": m.infraction_of,
}
CAMERA_PREFIX, DEPTH_PREFIX = "/camera/", "/depth/"


@dataclass(frozen=True)
class Entry:
    """One thing that was logged. value: the type that the topic stands for (see `DriveLog`), pictures as RGB arrays,
    depth in metres; for a topic we do not know, the protobuf message itself."""

    topic: str
    time_s: float
    value: Any


def read_metadata(path: Path) -> dict[str, dict[str, str]]:
    """All metadata records, by name."""
    return {record.name: dict(record.metadata) for record in _records(path) if isinstance(record, Metadata)}


def read_run(path: Path) -> dict[str, str]:
    """What the log says of its run, without reading on; empty if it says nothing."""
    runs = (record for record in _records(path) if isinstance(record, Metadata) and record.name == "run")
    first = next(runs, None)
    return {} if first is None else dict(first.metadata)


def read_drive(path: Path, topics: frozenset[str] | None = None, from_s: float = 0.0) -> Iterator[Entry]:
    """Entries in the order in which they were logged; only those of `topics` (prefixes count: "/camera/") if given,
    and only those stamped `from_s` or later: the ones before are not decoded."""
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    decoders = DecoderFactory()
    for record in _records(path):
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message):
            channel = channels[record.channel_id]
            if record.log_time < from_s * 1e9:
                continue
            if topics is not None and not any(channel.topic.startswith(topic) for topic in topics):
                continue
            decode = decoders.decoder_for(channel.message_encoding, schemas[channel.schema_id])
            if decode is None:
                raise UserError(f"{path}: topic {channel.topic} is not protobuf but {channel.message_encoding!r}")
            message = decode(record.data)
            yield Entry(channel.topic, record.log_time / 1e9, _convert(path, channel.topic, record.log_time, message))


def _convert(path: Path, topic: str, stamp_ns: int, message: Any) -> Any:
    if topic.startswith(CAMERA_PREFIX):
        convert: Callable[[Any], Any] | None = m.image_of
    elif topic.startswith(DEPTH_PREFIX):
        convert = lb.depth_of
    else:
        convert = _OF_TOPIC.get(topic)
    if convert is None:
        return message
    try:
        return convert(message)
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: topic {topic} at {stamp_ns / 1e9:.2f} s: {error}") from error


def _records(path: Path) -> Iterator[Any]:
    """Records up to the end of the file or, if it was cut, up to the last whole one."""
    with path.open("rb") as file:
        if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
            raise UserError(f"{path} is not an MCAP file: it does not start with the MCAP magic")
        end = _end_of_last_whole_record(file, path.stat().st_size)
        file.seek(0)
        try:
            yield from StreamReader(_Head(file, end)).records  # type: ignore[arg-type]
        except EndOfFile:
            return  # no footer: the writer never came to an end


def _end_of_last_whole_record(file: IO[bytes], size: int) -> int:
    """Hops from record to record (opcode u8, length u64) without reading them. file stands behind the magic."""
    end = file.tell()
    while True:
        header = file.read(9)
        if len(header) < 9:
            return end
        after = end + 9 + struct.unpack("<Q", header[1:])[0]
        if header[0] == Opcode.FOOTER:  # the magic once more, and the file is over
            after += len(MCAP0_MAGIC)
            return after if after <= size else end
        if after > size:
            return end
        end = after
        file.seek(end)


class _Head:
    """The first `end` bytes of a file, as a file."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file, self._left = file, end

    def read(self, length: int) -> bytes:
        data = self._file.read(min(length, self._left))
        self._left -= len(data)
        return data
