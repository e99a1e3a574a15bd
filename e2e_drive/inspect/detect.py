"""All detectors, by what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from e2e_drive.inspect.findings import Finding, Kind, Photo, Severity
from e2e_drive.inspect.near_miss import near_misses
from e2e_drive.inspect.plans import disagreements, jerky
from e2e_drive.inspect.scan import Scan
from e2e_drive.inspect.sensors import dropouts, frozen, time_jumps
from e2e_drive.inspect.timing import flapping, latency_spikes


def cuts(scan: Scan) -> list[Finding]:
    """A log that was not closed, or that is damaged within."""
    at_s = scan.to_s
    photos = tuple(Photo(name, at_s) for name in list(scan.pictures)[:2])
    if scan.damage:
        what = f"reading stops at {at_s:.2f} s: {scan.damage}"
    elif not scan.end.is_whole:
        begun = scan.end.begun_until_s
        lost = "" if begun is None or begun <= at_s else f", {begun - at_s:.2f} s more had begun"
        what = (
            f"the log ends abruptly at {at_s:.2f} s after {len(scan.stamps)} ticks; "
            f"{scan.end.broken_bytes} bytes at its end are no whole record{lost}"
        )
    else:
        return []
    return [Finding(Kind.CUT, at_s, at_s, Severity.HIGH, what, "", at_s, None, photos)]


DETECTORS: Mapping[Kind, Callable[[Scan], list[Finding]]] = {
    Kind.CUT: cuts,
    Kind.DROPOUT: dropouts,
    Kind.FROZEN: frozen,
    Kind.TIME_JUMP: time_jumps,
    Kind.LATENCY: latency_spikes,
    Kind.FLAPPING: flapping,
    Kind.JERKY: jerky,
    Kind.DISAGREEMENT: disagreements,
    Kind.NEAR_MISS: near_misses,
}


def detect(scan: Scan, kinds: Iterable[Kind] = tuple(Kind)) -> list[Finding]:
    """The worst first, then in order of time."""
    found = [finding for kind in kinds for finding in DETECTORS[kind](scan)] if scan.stamps else cuts(scan)
    return sorted(found, key=lambda f: (-f.severity, f.from_s, f.kind.value))
