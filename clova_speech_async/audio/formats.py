"""The first bytes tell the format, never the name. This file is pure: bytes in, a `Kind` out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AS_PCM",
    "HEAD",
    "Kind",
    "adts_frame",
    "beginning_of",
    "foreign",
    "id3_size",
    "mp3_frame",
    "mp3_seconds",
    "sniff",
]

HEAD = 4096
"""Bytes that `sniff` needs to see, counted from behind an ID3 tag."""


@dataclass(frozen=True)
class Kind:
    """A format, and who reads it."""

    name: str
    reader: str
    """``"wave"``: this library; ``"sndfile"``: libsndfile; ``"av"``: FFmpeg through PyAV."""
    taken: bool = False
    """The service names this format (P, K, G in the facts of the service: WAV, MP3, FLAC; AAC, AC3, OGG; M4A)."""


WAV = Kind("WAV", "wave", taken=True)
RF64 = Kind("RF64", "wave")
MP3 = Kind("MP3", "sndfile", taken=True)
FLAC = Kind("FLAC", "sndfile", taken=True)
OGG = Kind("OGG", "sndfile", taken=True)
AAC = Kind("AAC", "av", taken=True)
AC3 = Kind("AC3", "av", taken=True)
M4A = Kind("M4A", "av", taken=True)
MP4 = Kind("MP4", "av")

_MAGIC = (
    (b"fLaC", 0, FLAC),
    (b"OggS", 0, OGG),
    (b".snd", 0, Kind("AU", "sndfile")),
    (b"caff", 0, Kind("CAF", "sndfile")),
    (b"riff\x2e\x91\xcf\x11", 0, Kind("W64", "sndfile")),
    (b"AIFF", 8, Kind("AIFF", "sndfile")),
    (b"AIFC", 8, Kind("AIFF", "sndfile")),
    (b"RF64", 0, RF64),
    (b"BW64", 0, RF64),
    (b"RIFX", 0, Kind("WAV (big-endian)", "sndfile")),
    (b"\x0b\x77", 0, AC3),
    (b"Creative Voice File\x1a", 0, Kind("VOC", "sndfile")),
    (b"NIST_1A", 0, Kind("NIST", "sndfile")),
    (b"#!AMR", 0, Kind("AMR", "av")),
    (b"ADIF", 0, Kind("AAC (ADIF)", "av")),
    (b"FLV\x01", 0, Kind("FLV", "av")),
    (b"wvpk", 0, Kind("WavPack", "av")),
    (b"MAC ", 0, Kind("Monkey's Audio", "av")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, Kind("WMA or ASF", "av")),
    (b"\x00\x00\x01\xba", 0, Kind("MPEG program stream", "av")),
)

_AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ", b"F4A ")


def id3_size(head: bytes) -> int:
    """Length in bytes of the ID3v2 tag that `head` begins with, or 0."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] == 0xFF or max(head[6:10]) > 0x7F:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def sniff(head: bytes) -> Kind | None:
    """The format of a file that begins with `head` (behind an ID3 tag), or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return WAV
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Kind("AVI", "av")
    for magic, at, kind in _MAGIC:
        if head[at : at + len(magic)] == magic and (at == 0 or head[:4] == b"FORM"):
            return kind
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return Kind("WebM" if b"webm" in head[:64] else "Matroska", "av")
    if head[4:8] == b"ftyp":
        return M4A if head[8:12] in _AUDIO_BRANDS else MP4
    if head[4:8] in (b"moov", b"mdat", b"free", b"wide", b"skip"):
        return MP4
    if len(head) > 188 and head[0] == 0x47 and head[188] == 0x47:
        return Kind("MPEG transport stream", "av")
    return _by_frames(head)


def beginning_of(data: bytes) -> str | None:
    """The format whose first bytes these few are, too few to be sure that they are audio; else None."""
    if data[:4] == b"RIFF" and len(data) < 12:
        return WAV.name
    return "AIFF" if data[:4] == b"FORM" and len(data) < 12 else None


AS_PCM = "samples without a header are given as PCM(data, sample_rate=…)"
_FOREIGN = (
    ((b"<", b"{", b"[{"), "it looks like a web page or an error message, saved in the place of audio"),
    ((b"UklGR", b"SUQz", b"ZkxhQ", b"T2dnUw", b"data:audio"), "it is base64: decode it first"),
    ((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!"), "it is an archive: unpack it first"),
    ((b"MThd",), "it is MIDI, which holds notes, not sound"),
    ((b"%PDF", b"\x89PNG", b"\xff\xd8\xff"), "it is a document or a picture"),
)


def foreign(head: bytes) -> str:
    """What is known of bytes that are no audio file, or how samples without a header are given."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"--") and b"content-disposition:" in text.lower():
        return (
            "it is a whole multipart form, not the recording in it: let the web framework take it apart and give the "
            "file (FastAPI: a parameter of type UploadFile)"
        )
    for beginnings, remedy in _FOREIGN:
        if text.startswith(beginnings):
            return remedy
    return AS_PCM


def _by_frames(head: bytes) -> Kind | None:
    """MP3 and AAC have no magic: two frames in a row where the first one says they are."""
    start = len(head) - len(head.lstrip(b"\x00"))
    for at in range(start, min(len(head) - 4, start + 2048)):
        if head[at] != 0xFF or head[at + 1] & 0xE0 != 0xE0:
            continue
        for kind, length in ((MP3, mp3_frame(head, at)), (AAC, adts_frame(head, at))):
            if length == 0:
                continue
            nxt = at + length
            again = mp3_frame(head, nxt) if kind is MP3 else adts_frame(head, nxt)
            if again or (at == start and nxt + 4 > len(head)):
                return kind
    return None


_MP3_KBITS = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3_frame(head: bytes, at: int) -> int:
    """Length in bytes of the MPEG audio frame (layer I to III) at `at`, or 0."""
    if at + 4 > len(head) or head[at] != 0xFF or head[at + 1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[at + 1] >> 3 & 3, head[at + 1] >> 1 & 3
    bits, rate = head[at + 2] >> 4, head[at + 2] >> 2 & 3
    if version == 1 or layer == 0 or bits in (0, 15) or rate == 3:
        return 0
    kbits = _MP3_KBITS[3 if version == 3 else 2, layer][bits - 1]
    hertz = _MP3_RATES[version][rate]
    padding = head[at + 2] >> 1 & 1
    if layer == 3:
        return (12_000 * kbits // hertz + padding) * 4
    samples = 72_000 if layer == 1 and version != 3 else 144_000
    return samples * kbits // hertz + padding


def mp3_seconds(head: bytes) -> float:
    """Seconds of sound in the MPEG audio frame that begins with these bytes, which `mp3_frame` knows."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    samples = 384 if layer == 3 else 576 if layer == 1 and version != 3 else 1152
    return samples / _MP3_RATES[version][head[2] >> 2 & 3]


def adts_frame(head: bytes, at: int) -> int:
    """Length in bytes of the AAC frame with ADTS header at `at`, or 0."""
    if at + 7 > len(head) or head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0 or head[at + 2] >> 2 & 15 > 12:
        return 0
    length = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
    return length if length >= 7 else 0
