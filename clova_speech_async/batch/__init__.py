"""Many recordings, side by side, each reply kept. Re-exports only."""

from __future__ import annotations

from .batch import BatchRun, BatchTranscriber
from .items import Item, Result
from .summary import Summary

__all__ = ["BatchRun", "BatchTranscriber", "Item", "Result", "Summary"]
