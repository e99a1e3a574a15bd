"""The table at the end of a drive."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from e2e_drive.report.tally import PLACEMENTS, Tally
from e2e_drive.scores import KINDS, RULES, RouteRecord, score


def print_drive(console: Console, record: RouteRecord, tally: Tally, rules: str, realtime_factor: float) -> None:
    """realtime_factor: simulated seconds per second of wall clock."""
    result = score(record.evidence, RULES[rules])
    table = Table(title=f"{record.route_id}: {record.status}", show_header=False, title_style="bold", min_width=64)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right")
    table.add_row(f"driving score ({rules} rules)", f"[bold]{result.composed:.1f}[/bold]")
    driven_m = record.route_length_m * record.completion_pct / 100.0
    table.add_row("route completion", f"{result.route:.1f} %  ({driven_m:.0f} of {record.route_length_m:.0f} m)")
    table.add_row("infraction penalty", f"{result.penalty:.3f}")
    found = {kind: record.infractions[kind] for kind in KINDS if record.infractions.get(kind)}
    for kind, messages in found.items():
        table.add_row(f"  {kind.replace('_', ' ')}", f"[red]{len(messages)}[/red]")
    if not found:
        table.add_row("  infractions", "[green]none[/green]")
    table.add_section()
    if tally.frames:
        percentiles = [tally.latency_ms(p) for p in (50, 95, 99)]
        shown = "never" if None in percentiles else " / ".join(f"{p:.0f}" for p in percentiles) + " ms"
        table.add_row("perception to control, p50 / p95 / p99", shown)
        for placement in PLACEMENTS:
            table.add_row(f"  frames {placement}", f"{tally.share(placement) * 100:.1f} %")
        table.add_row("sent up / down", f"{tally.bytes_up / 1e6:.2f} / {tally.bytes_down / 1e6:.2f} MB")
        table.add_row("car's accelerator and radio", f"{tally.car_j / tally.frames:.2f} J a frame")
        table.add_section()
    table.add_row("simulated time", f"{record.duration_game_s:.1f} s")
    table.add_row("simulated seconds per wall-clock second", f"{realtime_factor:.2f}")
    console.print(table)
