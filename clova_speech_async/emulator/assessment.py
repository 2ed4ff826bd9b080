from __future__ import annotations

from typing import Any

from .contract import Wanted
from .workers import WorkerPool


async def assess(pool: WorkerPool, pcm: bytes, wanted: Wanted, text: str) -> dict[str, Any]:
    return {}
