"""`e2e-drive report in=FOLDER`: one page on all drives in a folder, however deep they lie."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from e2e_drive.apps.options import whole_number
from e2e_drive.errors import UserError
from e2e_drive.report.drives import find_drives, read_folder
from e2e_drive.report.page import write_page


def run(cfg: DictConfig) -> int:
    root = Path(str(cfg["in"]))
    if not root.is_dir():
        raise UserError(f"in={root}: no such folder")
    clips_mb = cfg.clips_mb
    if isinstance(clips_mb, bool) or not isinstance(clips_mb, int | float) or clips_mb < 0:
        raise UserError(f"clips_mb must be a number of at least 0, received {clips_mb!r}")
    page = root / "report.html" if cfg.out is None else Path(str(cfg.out))
    title = str(cfg.title or f"Drives in {root.name}")
    write_report(root, page, title, float(clips_mb), whole_number(cfg, "workers", 1))
    return 0


def write_report(root: Path, page: Path, title: str, clips_mb: float, workers: int) -> None:
    """workers: processes that read logs."""
    folders = find_drives(root)
    with ProcessPoolExecutor(min(workers, len(folders))) as pool:  # reading a log is nothing but decoding
        read = pool.map(partial(read_folder, root=root), folders)
        drives = list(tqdm(read, total=len(folders), unit="drive", desc="logs", dynamic_ncols=True, leave=False))
    mishaps = sum(len(drive.mishaps) for drive in drives)
    with tqdm(total=mishaps, unit="clip", desc="clips", dynamic_ncols=True, leave=False) as bar:
        write_page(drives, page, title, clips_mb, bar.update)
    print(f"{page}: {len(drives)} drives, {mishaps} infractions, {page.stat().st_size / 1e6:.1f} MB")
