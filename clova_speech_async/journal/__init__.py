"""The journal: every reply that was paid for, in one SQLite file, found again by what was sent. Re-exports only."""

from __future__ import annotations

from .journal import Claim, Journal
from .key import journal_key
from .records import JournalEntry, JournalOverview, Stored

__all__ = ["Claim", "Journal", "JournalEntry", "JournalOverview", "Stored", "journal_key"]
