"""Pytest fixtures for those who test their own programs against the emulator."""
