"""Pictures of an assessment, which need matplotlib (the extra ``plot``): `plot_assessment`, and `save_report` of files.

Pages of HTML need no matplotlib: import `save_report` from `clova_speech_async.report` for them.
"""

from __future__ import annotations

from .picture import plot_assessment
from .report import save_report

__all__ = ["plot_assessment", "save_report"]
