"""Reads a drive log back into our own types, however abruptly the file ends."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from google.protobuf.message import DecodeError as ProtobufError
from mcap.exceptions import EndOfFile, McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Message, Metadata, Schema
from mcap.stream_reader import StreamReader
from mcap.writer import MCAP0_MAGIC
from mcap_protobuf.decoder import DecoderFactory
from zstandard import ZstdError

from e2e_drive.errors import UserError
from e2e_drive.logs import foxglove as fg
from e2e_drive.logs import labels as lb
from e2e_drive.logs import messages as m
from e2e_drive.logs.pictures import image_of
from e2e_drive.logs.schema import MESSAGES, PACKAGE, message_class

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
    "/payloads": m.payloads_of,
    "/users": fg.users_of,
    "/map": fg.lanes_of,
}
CAMERA_PREFIX, DEPTH_PREFIX = "/camera/", "/depth/"
_SCHEMA_OF = {
    "/ego": "e2e_drive.EgoState",
    "/hint": "e2e_drive.RouteHint",
    "/link": "e2e_drive.LinkMsg",
    "/schedule": "e2e_drive.ScheduleMsg",
    "/timeline": "e2e_drive.TimelineMsg",
    "/trajectory": "e2e_drive.TrajectoryMsg",
    "/control": "e2e_drive.ControlMsg",
    "/truth": "e2e_drive.TruthMsg",
    "/labels": "e2e_drive.LabelsMsg",
    "/infraction": "e2e_drive.InfractionMsg",
    "/payloads": "e2e_drive.PayloadsMsg",
    "/users": "foxglove.SceneUpdate",
    "/map": "foxglove.SceneUpdate",
}
_CHUNK_HEAD = struct.Struct("<BQQQ")  # opcode, length, first and last log time of its messages [ns]
_PICTURE_SCHEMA = "foxglove.CompressedImage"


@dataclass(frozen=True)
class Entry:
    """One thing that was logged. value: the type that the topic stands for (see `DriveLog`), pictures as RGB arrays,
    depth in metres; for a topic we do not know, the protobuf message itself. message: as it lies in the file."""

    topic: str
    time_s: float
    value: Any
    message: Any = None


@dataclass(frozen=True)
class LogEnd:
    """How a file ends. is_whole: it was closed in order. broken_bytes: behind the last whole record. begun_until_s: how
    far a chunk that is not whole says it goes, None if there is none."""

    is_whole: bool
    broken_bytes: int
    begun_until_s: float | None


def read_end(path: Path) -> LogEnd:
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
            raise UserError(f"{path} is not an MCAP file: it does not start with the MCAP magic")
        end, is_whole = _end_of_last_whole_record(file, size)
        file.seek(end)
        head = file.read(_CHUNK_HEAD.size)
    until_s = None
    if not is_whole and len(head) == _CHUNK_HEAD.size and head[0] == Opcode.CHUNK:
        until_s = _CHUNK_HEAD.unpack(head)[3] / 1e9
    return LogEnd(is_whole, size - end, until_s)


def read_metadata(path: Path, *, head: bool = False) -> dict[str, dict[str, str]]:
    """Metadata records by name: all of them, or those that stand before the first message."""
    found = {}
    for record in _records(path):
        if head and isinstance(record, Message):
            break
        if isinstance(record, Metadata):
            found[record.name] = dict(record.metadata)
    return found


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
    decoder_of: dict[int, Callable[[bytes], Any]] = {}
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
            decode = decoder_of.get(channel.id)
            if decode is None:
                _check_schema(path, channel, schemas.get(channel.schema_id))
                decode = _own_decoder(schemas[channel.schema_id]) or decoders.decoder_for(
                    channel.message_encoding, schemas[channel.schema_id]
                )
                assert decode is not None
                decoder_of[channel.id] = decode
            message = _decoded(path, channel.topic, record, decode)
            time_s = round(record.log_time / 1e9, 9)
            yield Entry(channel.topic, time_s, _convert(path, channel.topic, record.log_time, message), message)


def _check_schema(path: Path, channel: Channel, schema: Schema | None) -> None:
    pictured = channel.topic.startswith((CAMERA_PREFIX, DEPTH_PREFIX))
    wanted = _PICTURE_SCHEMA if pictured else _SCHEMA_OF.get(channel.topic)
    if schema is None or schema.encoding != "protobuf" or channel.message_encoding != "protobuf":
        raise UserError(f"{path}: topic {channel.topic} is not protobuf but {channel.message_encoding!r}")
    if wanted is not None and schema.name != wanted:
        raise UserError(f"{path}: topic {channel.topic} has the schema {schema.name}, which is not known: {wanted} is")


def _own_decoder(schema: Schema) -> Callable[[bytes], Any] | None:
    """Ours by today's table and not by the log's own: what older logs do not hold reads as its default."""
    package, _, name = schema.name.rpartition(".")
    return message_class(name).FromString if package == PACKAGE and name in MESSAGES else None


def _decoded(path: Path, topic: str, record: Message, decode: Callable[[bytes], Any]) -> Any:
    try:
        return decode(record.data)
    except ProtobufError as error:
        raise UserError(f"{path}: topic {topic} at {record.log_time / 1e9:.2f} s is damaged: {error}") from error


def _convert(path: Path, topic: str, stamp_ns: int, message: Any) -> Any:
    if topic.startswith(CAMERA_PREFIX):
        convert: Callable[[Any], Any] | None = image_of
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
        end, _ = _end_of_last_whole_record(file, path.stat().st_size)
        file.seek(0)
        try:
            yield from StreamReader(_Head(file, end)).records  # type: ignore[arg-type]
        except EndOfFile:
            return  # no footer: the writer never came to an end
        except (McapError, ZstdError) as error:
            raise UserError(f"{path}: a record is damaged: {type(error).__name__} {error}".rstrip()) from error


def _end_of_last_whole_record(file: IO[bytes], size: int) -> tuple[int, bool]:
    """(position, whether the file ends there in order). Hops from record to record (opcode u8, length u64) without
    reading them. file stands behind the magic."""
    end = file.tell()
    while True:
        header = file.read(9)
        if len(header) < 9:
            return end, False
        after = end + 9 + struct.unpack("<Q", header[1:])[0]
        if header[0] == Opcode.FOOTER:  # the magic once more, and the file is over
            after += len(MCAP0_MAGIC)
            return (after, True) if after <= size else (end, False)
        if after > size:
            return end, False
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
