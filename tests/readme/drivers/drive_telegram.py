"""Runs a Telegram bot program as it stands, with a Telegram in the place of the network that sends one voice message.

Usage: drive_telegram.py PROGRAM VOICE_FILE. Prints a line of JSON for each message the bot sends, and presses Ctrl-C.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

from telegram.request import HTTPXRequest

PROGRAM, VOICE = sys.argv[1], Path(sys.argv[2])
PERSON = {"id": 7, "is_bot": False, "first_name": "Ann"}
CHAT = {"id": 7, "type": "private", "first_name": "Ann"}
FILE = {"file_id": "voice-1", "file_unique_id": "v1", "file_size": VOICE.stat().st_size}
MESSAGE = {"message_id": 1, "date": 1_700_000_000, "chat": CHAT, "from": PERSON}
VOICE_MESSAGE = MESSAGE | {"voice": FILE | {"duration": 6, "mime_type": "audio/ogg"}}


def result(method: str, parameters: dict[str, Any]) -> Any:
    """What Telegram answers a method with."""
    match method:
        case "getMe":
            return {"id": 42, "is_bot": True, "first_name": "Bot", "username": "a_bot"}
        case "getUpdates":
            return [] if parameters.get("offset") else [{"update_id": 1, "message": VOICE_MESSAGE}]
        case "getFile":
            return FILE | {"file_path": "voice/file_1.oga"}
        case "sendMessage":
            print(json.dumps({"chat": parameters["chat_id"], "text": parameters["text"]}), flush=True)
            os.kill(os.getpid(), signal.SIGINT)
            return MESSAGE | {"text": parameters["text"]}
        case "deleteWebhook":
            return True
    raise AssertionError(f"the bot called {method}, which this Telegram does not know")


async def do_request(self: HTTPXRequest, url: str, method: str, request_data: Any = None, **timeouts: Any) -> Any:
    """In the place of the one method of python-telegram-bot that goes to the network."""
    if "/file/bot" in url:
        return 200, VOICE.read_bytes()
    parameters = {} if request_data is None else request_data.parameters
    return 200, json.dumps({"ok": True, "result": result(url.rpartition("/")[2], parameters)}).encode()


HTTPXRequest.do_request = do_request  # type: ignore[method-assign]
os.environ["TELEGRAM_TOKEN"] = "42:token"
runpy.run_path(PROGRAM, run_name="__main__")
