"""A format is checked when it is read, and makes a path from what is known of a video."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.catalogue.queries import HeldFile, Known
from archiver.cli.link import link
from archiver.generation import Generation
from archiver.media.info import Properties
from archiver.metadata import Metadata
from archiver.tree import names
from archiver.tree.template import DEFAULT, FIELDS, Template, moment, values_of

DATE = datetime(2026, 11, 23, 14, 5, 59, tzinfo=UTC)
SAID = Metadata(
    "A cat on a mat", "dogs", "flux/pro", "42", 640, 360, 5.0, "t-1", "2026-11-23T14:05:59+00:00"
)
SHOWN = Properties(4.96, 1280, 720, 23.976, "h264", "aac")


def path(form: str, said: Metadata = SAID, stem: str = "263", shown: Properties = SHOWN) -> str:
    file = HeldFile(f"data/v6/deepfake/{stem}.mp4", 1, "0123456789abcdef", None, shown)
    known = Known(Generation("v6/deepfake", "263"), "held", metadata=said)
    return Template.parse(form).path(values_of(known, file, DATE))


def error(form: str) -> str:
    with pytest.raises(ValueError, match=r"\w") as caught:
        Template.parse(form)
    return str(caught.value)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (DEFAULT, "2026-11-23/A cat on a mat-263.mp4"),
        ("{date:%Y}/{date:%m-%d}/{time} {id}", "2026/11-23/14-05-59 263"),
        ("{family}/{endpoint}/{id}-{number:02}.{extension}", "deepfake/v6-deepfake/263-01.mp4"),
        ("{model}/{seed}/{negative_prompt} {track_id}", "flux_pro/42/dogs t-1"),
        ("{resolution} {width}x{height} {duration} {duration:.2}", "1280x720 1280x720 5 4.96"),
        ("{frame_rate}fps {video_codec}+{audio_codec}", "24fps h264+aac"),
        ("{prompt:.5} {sha256:.8}", "A cat 01234567"),
        ("{{{id}}}", "{263}"),
    ],
)
def test_a_format_makes_a_path(form: str, expected: str) -> None:
    """Fields stand for what is known; a slash between them makes a directory."""
    assert path(form) == expected


def test_every_field_is_in_the_help() -> None:
    """Each on a line of its own, and the default is the one that is shown."""
    *shown, default = (line.strip() for line in (link.help or "").splitlines() if "  {" in line)
    assert [line.split()[0] for line in shown] == [f"{{{name}}}" for name in FIELDS]
    assert default == DEFAULT
    (form,) = (param for param in link.params if param.name == "form")
    assert form.default == DEFAULT


def test_what_is_not_known_is_left_out() -> None:
    """A part of the path of which nothing is left is called `unknown`."""
    nothing = Metadata(), Properties()
    assert path(DEFAULT, nothing[0], shown=nothing[1]) == "2026-11-23/263.mp4"
    form = "{model}/{resolution}/{id}-{seed}.{extension}"
    assert path(form, nothing[0], shown=nothing[1]) == "unknown/unknown/263.mp4"


def test_what_was_asked_for_serves_where_the_video_says_nothing() -> None:
    """Width, height and duration."""
    assert path("{resolution} {duration}", shown=Properties()) == "640x360 5"


@pytest.mark.parametrize(("stem", "number"), [("263", "1"), ("263-2", "2"), ("263-17", "17")])
def test_outputs_have_numbers(stem: str, number: str) -> None:
    """As they have in the archive; a single one is the first."""
    assert path("{number}", stem=stem) == number


def test_a_prompt_makes_no_directory() -> None:
    """Nor does it lead out of one."""
    assert path("{prompt}/{id}", Metadata(prompt="../../etc")) == "_.._etc/263"
    assert path("{prompt}/{id}", Metadata(prompt="..")) == "unknown/263"
    assert path("{prompt}", Metadata(prompt="/etc/passwd")) == "_etc_passwd"


@pytest.mark.parametrize("prompt", ["x" * 10_000, "\U0001f408" * 10_000, "é" * 300, "ab " * 4000])
def test_a_long_prompt_is_shortened_and_the_rest_stays(prompt: str) -> None:
    """The ID and the extension are whole in every case."""
    for form in ("{prompt}-{id}.{extension}", "{prompt}/{prompt}-{id}.{extension}"):
        found = path(form, Metadata(prompt=prompt))
        assert found.endswith("263.mp4")
        assert len(found) <= names.PATH
        assert all(len(part.encode()) <= names.COMPONENT for part in found.split("/"))


@given(st.text(max_size=400), st.text(max_size=400), st.sampled_from([DEFAULT, "{prompt}/{model}"]))
def test_any_metadata_makes_a_safe_path(prompt: str, model: str, form: str) -> None:
    """With as many parts as the format has."""
    parts = path(form, Metadata(prompt=prompt, model=model)).split("/")
    assert len(parts) == form.count("/") + 1
    assert all(part == names.component(part) for part in parts)


# --- What is no format


@pytest.mark.parametrize(
    ("form", "hint"),
    [
        ("{promt}", "there is no field {promt}; did you mean {prompt}?"),
        ("{Prompt}", "there is no field {Prompt}; did you mean {prompt}?"),
        ("{zzz}", "there is no field {zzz}; expected {date}, {time}, {id}"),
        ("{}", "there is no field {}"),
        ("{id.__class__}", "there is no field {id.__class__}"),
        ("{prompt[0]}", "there is no field {prompt[0]}"),
        ("{prompt!r}", "{prompt!r} is not understood: a text may be followed by"),
        ("{prompt:>40}", "{prompt:>40} is not understood: a text may be followed by"),
        ("{prompt:.0}", "{prompt:.0} is not understood"),
        ("{number:.2f}", "a whole number may be followed by its least width: {number:02}"),
        ("{duration:x}", "a number may be followed by how many decimals it has"),
        ("{date:%Y/%m}", "a date may be followed by a pattern without /: {date:%Y-%m}"),
        ("{date:%s}", "{date:%s} is not understood"),
        ("{prompt:{id}}", "{prompt:{id}} is not understood"),
        ("{id", "a brace has no partner"),
        ("id}", "a brace has no partner"),
        ("jsonl", "it has no field"),
        ("", "no part is empty"),
        ("/{id}", "it is a relative path, in which no part is empty"),
        ("../{id}", "no part is empty, '.' or '..'"),
        ("{date}/./{id}", "no part is empty, '.' or '..'"),
        ("{date}//{id}", "no part is empty"),
        ("{id}/", "no part is empty"),
        ("C:\\{id}", "':' cannot be in a name on every file system"),
        ("{id}?", "'?' cannot be in a name on every file system"),
        ("{id}\n", "'\\n' cannot be in a name on every file system"),
        ("x" * 200 + "{id}", "it is longer than 200 bytes"),
    ],
)
def test_what_is_no_format_is_an_error(form: str, hint: str) -> None:
    """The message has what was expected, or the nearest field."""
    assert hint in error(form)


# --- Dates


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("2026-11-23T14:05:59+00:00",), DATE),
        (("2026-11-23T15:05:59+01:00",), DATE),
        (("2026-11-23T14:05:59",), DATE),
        ((None, "2026-11-23T14:05:59Z"), DATE),
        (("yesterday", "0001-01-01T00:00:00+14:00", "2026-11-23 14:05:59"), DATE),
        ((), datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_first_moment_that_is_one_counts(
    texts: tuple[str | None, ...], expected: datetime
) -> None:
    """In UTC, so that a name does not depend on where it is made."""
    assert moment(*texts) == expected
