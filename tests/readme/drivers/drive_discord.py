"""Runs a Discord bot program as it stands, with a Discord in the place of the network: a server with one voice channel.

Usage: drive_discord.py PROGRAM SPEECH_FILE. Somebody writes `!listen`, two people say what is in the file, somebody
writes `!done`. Prints a line of JSON for each message the bot sends, and closes it when it has spoken of both.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import runpy
import sys
import threading
from typing import Any

import discord
import numpy as np
import soundfile
from discord.ext import voice_recv
from discord.http import HTTPClient

PROGRAM, SPEECH = sys.argv[1], sys.argv[2]
GUILD, TEXT, VOICE, BOT, ANN, BEN = "100", "200", "300", "42", "7", "8"
FRAME = 960 * 2 * 2
"""Bytes of 20 ms at 48 kHz, stereo, 16 bit: what Discord's decoder gives at a time."""
numbers = itertools.count(1000)
spoken: list[str] = []


def user(number: str, name: str, *, bot: bool = False) -> dict[str, Any]:
    return {"id": number, "username": name, "discriminator": "0", "global_name": name, "avatar": None, "bot": bot}


def member(of: dict[str, Any]) -> dict[str, Any]:
    joined = "2024-01-01T00:00:00+00:00"
    return {"user": of, "roles": [], "joined_at": joined, "deaf": False, "mute": False, "flags": 0}


USERS = {BOT: user(BOT, "bot", bot=True), ANN: user(ANN, "Ann"), BEN: user(BEN, "Ben")}


def channel(number: str, kind: int, name: str) -> dict[str, Any]:
    return {
        "id": number,
        "type": kind,
        "name": name,
        "position": 0,
        "permission_overwrites": [],
        "bitrate": 64_000,
        "user_limit": 0,
    }


def voice_state(number: str) -> dict[str, Any]:
    flags = dict.fromkeys(("deaf", "mute", "self_deaf", "self_mute", "self_video", "suppress"), False)
    return {"guild_id": GUILD, "channel_id": VOICE, "user_id": number, "session_id": number, **flags}


def guild() -> dict[str, Any]:
    role = {"id": GUILD, "name": "@everyone", "permissions": str(2**40 - 1), "position": 0, "color": 0, "flags": 0}
    return {
        "id": GUILD,
        "name": "server",
        "owner_id": ANN,
        "roles": [role | {"hoist": False, "managed": False, "mentionable": False}],
        "emojis": [],
        "features": [],
        "members": [member(of) for of in USERS.values()],
        "member_count": 3,
        "channels": [channel(TEXT, 0, "talk"), channel(VOICE, 2, "Voice")],
        "voice_states": [voice_state(ANN), voice_state(BEN)],
        "presences": [],
        "threads": [],
    }


def message(author: str, content: str) -> dict[str, Any]:
    return {
        "id": str(next(numbers)),
        "channel_id": TEXT,
        "guild_id": GUILD,
        "author": USERS[author],
        "member": {key: value for key, value in member(USERS[author]).items() if key != "user"},
        "content": content,
        "timestamp": "2024-01-01T00:00:00+00:00",
        "edited_timestamp": None,
        "type": 0,
        "pinned": False,
        "tts": False,
        "mention_everyone": False,
        **{key: [] for key in ("mentions", "mention_roles", "attachments", "embeds", "components")},
    }


# --- in the place of the network ---------------------------------------------------------------------


async def request(self: HTTPClient, route: Any, *, form: Any = None, **rest: Any) -> Any:
    """Every call of Discord's REST interface."""
    match route.method, route.path:
        case "GET", "/users/@me":
            return USERS[BOT]
        case "GET", "/oauth2/applications/@me":
            team = {"id": BOT, "name": "bot", "description": "", "bot_public": True, "bot_require_code_grant": False}
            return team | {"owner": USERS[ANN], "verify_key": "", "icon": None, "flags": 0, "summary": ""}
        case "POST", "/channels/{channel_id}/messages":
            text = rest["json"]["content"]
            spoken.append(text)
            print(json.dumps(text), flush=True)
            if len(spoken) == 2:
                both.set()
            return message(BOT, text)
    raise AssertionError(f"the bot called {route.method} {route.path}, which this Discord does not know")


async def connect(self: discord.Client, **options: Any) -> None:
    """The gateway: events come in until the bot has answered."""
    state = self._connection
    ready = {"user": USERS[BOT], "guilds": [], "application": {"id": BOT, "flags": 0}}
    state.parse_ready(ready | {"session_id": "s", "v": 10})
    await self.wait_until_ready()
    state.parse_guild_create(guild() | {"unavailable": False})
    state.parse_message_create(message(ANN, "!listen"))
    await asyncio.wait_for(heard.wait(), 20)
    state.parse_message_create(message(ANN, "!done"))
    await asyncio.wait_for(both.wait(), 20)
    await self.close()


async def connect_voice(self: voice_recv.VoiceRecvClient, **options: Any) -> None:
    """The voice gateway and its UDP socket."""


def listen(self: voice_recv.VoiceRecvClient, sink: voice_recv.AudioSink, **options: Any) -> None:
    """The reader of packets: it writes into the sink from a thread of its own, speakers in turn, 20 ms at a time."""
    loop = asyncio.get_running_loop()
    samples, rate = soundfile.read(SPEECH, dtype="int16")
    assert rate == 16_000
    data = np.repeat(np.repeat(samples, 3)[:, None], 2, axis=1).astype("<i2").tobytes()
    speakers = [self.guild.get_member(int(number)) for number in (ANN, BEN)]

    def run() -> None:
        for at in range(0, len(data), FRAME):
            for speaker in speakers:
                sink.write(speaker, voice_recv.VoiceData(None, speaker, pcm=data[at : at + FRAME]))
        loop.call_soon_threadsafe(heard.set)

    threading.Thread(target=run).start()


async def disconnect_voice(self: voice_recv.VoiceRecvClient, *, force: bool = False) -> None:
    self.cleanup()


heard, both = asyncio.Event(), asyncio.Event()
HTTPClient.request = request  # type: ignore[method-assign]
discord.Client.connect = connect  # type: ignore[method-assign]
voice_recv.VoiceRecvClient.connect = connect_voice
voice_recv.VoiceRecvClient.disconnect = disconnect_voice
voice_recv.VoiceRecvClient.listen = listen
os.environ["DISCORD_TOKEN"] = "token"
runpy.run_path(PROGRAM, run_name="__main__")
