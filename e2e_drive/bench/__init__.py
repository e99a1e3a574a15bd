"""Benchmarks: each module has `run(...) -> {"metrics": {id: number}, "rows": [...]}`."""
