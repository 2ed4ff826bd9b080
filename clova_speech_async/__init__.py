"""Asyncio (and trio) client for NAVER CLOVA Speech short sentence recognition."""
