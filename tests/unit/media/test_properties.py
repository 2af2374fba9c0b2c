"""What videos say of themselves: ffprobe, as the judge, says the same of them."""

import json
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from archiver.media.info import Properties
from tests.unit.media.checks import validate

NO_FFMPEG = shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None
IMAGES = "-f lavfi -i testsrc2=s=64x48:r=10:d=1"
SOUND = "-f lavfi -i sine=d=1.3"
WHOLE = "-f lavfi -i testsrc2=s=64x48:r=10:d=3 -c:v libx264 -g 10 -bf 2"
H264 = "-c:v libx264 -preset ultrafast"
FRAGMENTS = "-movflags frag_keyframe+empty_moov+default_base_moof"
VARIABLE = r"-vf setpts=if(lt(N\,4)\,N\,4+(N-4)*3)/10/TB -vsync vfr"
VIDEOS = {
    "H.264 and AAC, index first": f"{IMAGES} {SOUND} {H264} -c:a aac -movflags faststart v.mp4",
    "H.264 and AAC, index last": f"{IMAGES} {SOUND} {H264} -c:a aac v.mp4",
    "H.264 without sound": f"{IMAGES} {H264} v.mp4",
    "H.264 with B frames": f"{IMAGES} -c:v libx264 -bf 3 v.mp4",
    "H.264 and MP3": f"{IMAGES} {SOUND} {H264} -c:a libmp3lame v.mp4",
    "H.264 and ALAC": f"{IMAGES} {SOUND} {H264} -c:a alac v.mp4",
    "H.264 and Opus": f"{IMAGES} {SOUND} {H264} -c:a libopus v.mp4",
    "H.264 and FLAC": f"{IMAGES} {SOUND} {H264} -c:a flac -strict -2 v.mp4",
    "H.264 and AC-3": f"{IMAGES} {SOUND} {H264} -c:a ac3 v.mp4",
    "H.264 and Vorbis": f"{IMAGES} {SOUND} {H264} -c:a libvorbis v.mp4",
    "HEVC, hev1": f"{IMAGES} -c:v libx265 -x265-params log-level=none v.mp4",
    "HEVC, hvc1": f"{IMAGES} -c:v libx265 -x265-params log-level=none -tag:v hvc1 v.mp4",
    "VP9 in MP4": f"{IMAGES} -c:v libvpx-vp9 -deadline realtime v.mp4",
    "AV1 in MP4": f"{IMAGES} -c:v libaom-av1 -cpu-used 8 -usage realtime v.mp4",
    "MPEG-4 part 2": f"{IMAGES} {SOUND} -c:v mpeg4 -c:a aac v.mp4",
    "MPEG-2 in MP4": f"{IMAGES} -c:v mpeg2video -r 25 v.mp4",
    "Motion JPEG in MP4": f"{IMAGES} -c:v mjpeg -pix_fmt yuvj420p v.mp4",
    "PNG in MP4": f"{IMAGES} -c:v png v.mp4",
    "ProRes 422": f"{IMAGES} {SOUND} -c:v prores_ks -c:a pcm_s24le v.mov",
    "ProRes 4444": f"{IMAGES} {SOUND} -c:v prores_ks -profile:v 4 -c:a pcm_s16le v.mov",
    "Motion JPEG in QuickTime": f"{IMAGES} {SOUND} -c:v mjpeg -c:a pcm_s16be v.mov",
    "QuickTime animation": f"{IMAGES} {SOUND} -c:v qtrle -c:a pcm_u8 v.mov",
    "QuickTime and AAC": f"{IMAGES} {SOUND} {H264} -c:a aac v.mov",
    "QuickTime and ALAC": f"{IMAGES} {SOUND} {H264} -c:a alac v.mov",
    "QuickTime and MP3": f"{IMAGES} {SOUND} {H264} -c:a libmp3lame v.mov",
    "PCM of 24 bits, big-endian": f"{IMAGES} {SOUND} {H264} -c:a pcm_s24be v.mov",
    "PCM of 32 bits": f"{IMAGES} {SOUND} {H264} -c:a pcm_s32le v.mov",
    "PCM of floats": f"{IMAGES} {SOUND} {H264} -c:a pcm_f32le v.mov",
    "PCM of large floats": f"{IMAGES} {SOUND} {H264} -c:a pcm_f64be v.mov",
    "PCM of 8 bits": f"{IMAGES} {SOUND} {H264} -c:a pcm_s8 v.mov",
    "PCM of 96 kHz": f"{IMAGES} {SOUND} {H264} -ar 96000 -c:a pcm_s24le v.mov",
    "mu-law": f"{IMAGES} {SOUND} {H264} -c:a pcm_mulaw v.mov",
    "turned by 90 degrees": f"{IMAGES} {H264} -metadata:s:v rotate=90 v.mp4",
    "turned by 180 degrees": f"{IMAGES} {H264} -metadata:s:v rotate=180 v.mp4",
    "turned by 270 degrees": f"{IMAGES} {H264} -metadata:s:v rotate=270 v.mov",
    "wide pixels": f"{IMAGES} {H264} -vf setsar=16/11 v.mp4",
    "wide pixels in QuickTime": f"{IMAGES} {H264} -vf setsar=16/11 v.mov",
    "narrow pixels, turned": f"{IMAGES} {H264} -vf setsar=3/4 -metadata:s:v rotate=90 v.mp4",
    "23.976 frames a second": f"{IMAGES} {H264} -r 24000/1001 v.mp4",
    "29.97 frames a second": f"{IMAGES} {SOUND} {H264} -r 30000/1001 v.mov",
    "a frame in two seconds": f"{IMAGES} {H264} -r 1/2 v.mp4",
    "120 frames a second": f"{IMAGES} {H264} -r 120 v.mp4",
    "a single frame": f"{IMAGES} {H264} -frames:v 1 v.mp4",
    "a variable rate": f"{IMAGES} {SOUND} {H264} {VARIABLE} v.mp4",
    "fragments": f"{IMAGES} {SOUND} {H264} -g 3 -c:a aac {FRAGMENTS} v.mp4",
    "fragments without sound": f"{IMAGES} {H264} -g 3 {FRAGMENTS} v.mp4",
    "fragments with B frames": f"{IMAGES} -c:v libx264 -bf 2 -g 4 {FRAGMENTS} v.mp4",
    "fragments of a variable rate": f"{IMAGES} {H264} {VARIABLE} -g 3 {FRAGMENTS} v.mp4",
    "fragments after samples": f"{IMAGES} {H264} -g 3 -movflags frag_keyframe v.mp4",
    "fragments with edits": f"{IMAGES} {SOUND} {H264} -g 3 {FRAGMENTS}+delay_moov v.mp4",
    "fragments with an index": f"{IMAGES} {H264} -g 3 {FRAGMENTS}+global_sidx v.mp4",
    "sound only": f"{SOUND} -c:a aac v.mp4",
    "sound only, in fragments": f"{SOUND} -c:a aac -frag_duration 200000 {FRAGMENTS} v.mp4",
    "sound first": f"{SOUND} {IMAGES} {H264} -c:a aac -map 0:a -map 1:v v.mp4",
    "subtitles": f"{IMAGES} -i subtitles.srt {H264} -c:s mov_text v.mp4",
    "VP8 and Vorbis": f"{IMAGES} {SOUND} -c:v libvpx -deadline realtime -c:a libvorbis v.webm",
    "VP9 and Opus": f"{IMAGES} {SOUND} -c:v libvpx-vp9 -deadline realtime -c:a libopus v.webm",
    "AV1 in WebM": f"{IMAGES} -c:v libaom-av1 -cpu-used 8 -usage realtime v.webm",
    "a WebM with wide pixels": f"{IMAGES} -c:v libvpx -vf setsar=16/11 v.webm",
    "a WebM of 23.976 frames": f"{IMAGES} -c:v libvpx -r 24000/1001 v.webm",
    "a WebM with sound only": f"{SOUND} -c:a libopus v.webm",
    "Matroska, H.264 and AAC": f"{IMAGES} {SOUND} {H264} -c:a aac v.mkv",
    "Matroska, HEVC and FLAC": f"{IMAGES} {SOUND} -c:v libx265 -c:a flac v.mkv",
    "Matroska, MPEG-4 and MP3": f"{IMAGES} {SOUND} -c:v mpeg4 -c:a libmp3lame v.mkv",
    "Matroska, ProRes and PCM": f"{IMAGES} {SOUND} -c:v prores_ks -c:a pcm_s24le v.mkv",
    "Matroska, MJPEG and ALAC": f"{IMAGES} {SOUND} -c:v mjpeg -c:a alac v.mkv",
    "Matroska, VP9 and floats": f"{IMAGES} {SOUND} -c:v libvpx-vp9 -c:a pcm_f32le v.mkv",
    "GIF": f"{IMAGES} v.gif",
    "GIF of 50 frames a second": f"{IMAGES} -r 50 v.gif",
    "GIF that is too fast": f"{IMAGES} -r 100 v.gif",
}
"""What ffmpeg makes each from."""
TRIMMED = "-ss 1.75 -i whole.mp4 -c copy"


def ffmpeg(arguments: str, directory: Path) -> Path:
    """Make a video; return its path, which is what `arguments` end with."""
    command = ["ffmpeg", "-v", "error", "-y", *arguments.split()]
    subprocess.run(command, cwd=directory, check=True, timeout=60, capture_output=True)
    return directory / command[-1]


def probed(video: Path) -> Properties:
    """Return what ffprobe says of a video."""
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(video)]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True)
    found = json.loads(done.stdout)
    streams = {stream["codec_type"]: stream for stream in reversed(found["streams"])}
    images, sound = streams.get("video", {}), streams.get("audio", {})
    width, height = _shown(images)
    rate = Fraction(*map(int, images.get("avg_frame_rate", "0/0").split("/"))) if images else 0
    return Properties(
        float(found["format"]["duration"]),
        width,
        height,
        float(rate) or None,
        images.get("codec_name"),
        sound.get("codec_name"),
    )


def _shown(stream: dict[str, Any]) -> tuple[int, int] | tuple[None, None]:
    if not stream:
        return None, None
    aspect = Fraction(stream.get("sample_aspect_ratio", "1:1").replace(":", "/"))
    width, height = round(stream["width"] * aspect), stream["height"]
    turns = [side.get("rotation", 0) for side in stream.get("side_data_list", [])]
    return (height, width) if any(turn % 180 for turn in turns) else (width, height)


def assert_alike(found: Properties, judged: Properties) -> None:
    """Times may differ by half a frame of sound, or what ffprobe rounds."""
    assert found.duration == pytest.approx(judged.duration, abs=0.03)
    assert found.frame_rate == (judged.frame_rate and pytest.approx(judged.frame_rate, rel=0.002))
    assert (found.width, found.height) == (judged.width, judged.height)
    assert (found.video_codec, found.audio_codec) == (judged.video_codec, judged.audio_codec)


@pytest.mark.skipif(NO_FFMPEG, reason="ffmpeg is not installed")
@pytest.mark.parametrize("name", VIDEOS)
def test_ffprobe_says_the_same(name: str, tmp_path: Path) -> None:
    """What a video says of itself is what ffprobe reads in it."""
    (tmp_path / "subtitles.srt").write_text("1\n00:00:00,000 --> 00:00:00,900\nHello\n")
    video = ffmpeg(VIDEOS[name], tmp_path)
    assert_alike(validate(video.read_bytes()).properties, probed(video))


@pytest.mark.skipif(NO_FFMPEG, reason="ffmpeg is not installed")
def test_what_an_edit_list_leaves_out_does_not_count(tmp_path: Path) -> None:
    """A trimmed video is as long as it is shown; of fragments, nobody knows how long that is."""
    ffmpeg(f"{WHOLE} whole.mp4", tmp_path)
    video = ffmpeg(f"{TRIMMED} v.mp4", tmp_path)
    found = validate(video.read_bytes()).properties
    assert_alike(found, probed(video))
    assert found.duration == pytest.approx(1.25, abs=0.1)
    video = ffmpeg(f"{TRIMMED} {FRAGMENTS}+delay_moov v.mp4", tmp_path)
    assert validate(video.read_bytes()).properties == replace(found, duration=None)
