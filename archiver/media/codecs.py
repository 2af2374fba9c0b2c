"""Codecs: ffmpeg's names for what containers call them."""

import re
import struct

_MPEG_4 = (b"mp4v", b"mp4a")
_BY_FORMAT = {
    b"avc1": "h264", b"avc2": "h264", b"avc3": "h264", b"avc4": "h264",
    b"hev1": "hevc", b"hvc1": "hevc", b"dvh1": "hevc", b"dvhe": "hevc",
    b"vp08": "vp8", b"vp09": "vp9", b"av01": "av1",
    b"apch": "prores", b"apcn": "prores", b"apcs": "prores", b"apco": "prores",
    b"ap4h": "prores", b"ap4x": "prores",
    b"jpeg": "mjpeg", b"mjpa": "mjpeg", b"mjpb": "mjpegb", b"png ": "png", b"rle ": "qtrle",
    b"FFV1": "ffv1", b"SVQ1": "svq1", b"SVQ3": "svq3", b"cvid": "cinepak",
    b"h263": "h263", b"s263": "h263", b"AVdn": "dnxhd", b"AVdh": "dnxhd",
    b"Opus": "opus", b"fLaC": "flac", b"alac": "alac", b".mp3": "mp3",
    b"ac-3": "ac3", b"ec-3": "eac3", b"samr": "amr_nb", b"sawb": "amr_wb",
    b"ulaw": "pcm_mulaw", b"alaw": "pcm_alaw",
}  # fmt: skip
"""By the format of a sample entry: the MP4 registration authority's, and QuickTime's."""
_BY_OBJECT_TYPE = {
    0x20: "mpeg4", 0x21: "h264", 0x23: "hevc", 0x6C: "mjpeg", 0x6D: "png",
    0x60: "mpeg2video", 0x61: "mpeg2video", 0x62: "mpeg2video", 0x63: "mpeg2video",
    0x64: "mpeg2video", 0x65: "mpeg2video", 0x6A: "mpeg1video", 0xB1: "vp9",
    0x40: "aac", 0x66: "aac", 0x67: "aac", 0x68: "aac", 0x69: "mp3", 0x6B: "mp3",
    0xA5: "ac3", 0xA6: "eac3", 0xAD: "opus", 0xDD: "vorbis",
}  # fmt: skip
"""By the object type of a decoder's configuration (ISO/IEC 14496-1, 7.2.6.6; mp4ra.org)."""
_CONFIGURATION = re.compile(
    rb"esds.{4}"
    rb"\x03[\x80-\xff]{0,3}[\0-\x7f].{2}(?:[\0-\x1f]|[\x80-\x9f]..)"
    rb"\x04[\x80-\xff]{0,3}[\0-\x7f](?P<object_type>.)",
    re.DOTALL,
)
"""The two descriptors with which an `esds` begins; the first may name another stream."""
_BY_CODEC_ID = {
    "V_MPEG4/ISO/AVC": "h264", "V_MPEGH/ISO/HEVC": "hevc", "V_VP8": "vp8", "V_VP9": "vp9",
    "V_AV1": "av1", "V_MPEG4/ISO/SP": "mpeg4", "V_MPEG4/ISO/ASP": "mpeg4",
    "V_MPEG4/ISO/AP": "mpeg4", "V_MPEG4/MS/V3": "msmpeg4v3", "V_MPEG1": "mpeg1video",
    "V_MPEG2": "mpeg2video", "V_MJPEG": "mjpeg", "V_PRORES": "prores", "V_THEORA": "theora",
    "V_FFV1": "ffv1",
    "A_OPUS": "opus", "A_VORBIS": "vorbis", "A_MPEG/L3": "mp3", "A_MPEG/L2": "mp2",
    "A_MPEG/L1": "mp1", "A_AC3": "ac3", "A_EAC3": "eac3", "A_DTS": "dts", "A_FLAC": "flac",
    "A_ALAC": "alac", "A_TRUEHD": "truehd", "A_WAVPACK4": "wavpack", "A_TTA1": "tta",
}  # fmt: skip
"""By the ID of a codec in Matroska (RFC 9559, 9; the registry of its codec mappings)."""
_PCM = {
    "A_PCM/INT/LIT": {8: "pcm_u8", 16: "pcm_s16le", 24: "pcm_s24le", 32: "pcm_s32le"},
    "A_PCM/INT/BIG": {8: "pcm_u8", 16: "pcm_s16be", 24: "pcm_s24be", 32: "pcm_s32be"},
    "A_PCM/FLOAT/IEEE": {32: "pcm_f32le", 64: "pcm_f64le"},
}
_LPCM = {name for names in _PCM.values() for name in names.values()} | {
    "pcm_s8", "pcm_f32be", "pcm_f64be",
}  # fmt: skip
_LPCM_ENTRY = 64
_unpack_lpcm = struct.Struct(">56xII").unpack_from
"""Return the bits of a sample, and flags (QuickTime File Format, sound description, version 2)."""
_LITTLE_ENDIAN = b"enda\0\1"


def of_sample_entry(entry: bytes, *, is_sound: bool) -> str | None:
    """Return the codec that a sample entry of MP4 or QuickTime is of; None if it is unknown."""
    letters = entry[4:8]
    if letters in _BY_FORMAT:
        return _BY_FORMAT[letters]
    if letters in _MPEG_4:
        found = _CONFIGURATION.search(entry)
        return _BY_OBJECT_TYPE.get(found["object_type"][0]) if found else None
    return _pcm(letters, entry) if is_sound else None


def of_codec_id(codec_id: str, bit_depth: int = 0) -> str | None:
    """Return the codec that Matroska means by an ID; None if it is unknown.

    Of sound that is not compressed, the number of bits a sample makes the codec.
    """
    if codec_id.startswith("A_AAC"):
        return "aac"
    return _BY_CODEC_ID.get(codec_id) or _PCM.get(codec_id, {}).get(bit_depth)


def _pcm(letters: bytes, entry: bytes) -> str | None:
    """Return the codec of sound that is not compressed (QuickTime's sound sample descriptions)."""
    bits = int.from_bytes(entry[26:28])
    match letters:
        case b"raw " if bits == 8:
            return "pcm_u8"
        case b"sowt" | b"twos" if bits == 8:
            return "pcm_s8"
        case b"sowt" | b"twos" if bits == 16:
            return "pcm_s16le" if letters == b"sowt" else "pcm_s16be"
        case b"in24" | b"in32" | b"fl32" | b"fl64":
            kind = "f" if letters.startswith(b"fl") else "s"
            return f"pcm_{kind}{int(letters[2:])}{'le' if _LITTLE_ENDIAN in entry else 'be'}"
        case b"lpcm" if len(entry) >= _LPCM_ENTRY:
            return _of_flags(*_unpack_lpcm(entry))
        case _:
            return None


def _of_flags(bits: int, flags: int) -> str | None:
    """Return the codec that the flags of an `lpcm` entry mean."""
    kind = "f" if flags & 1 else "s" if flags & 4 else "u"
    order = "" if bits == 8 else "be" if flags & 2 else "le"
    name = f"pcm_{kind}{bits}{order}"
    return name if name in _LPCM else None
