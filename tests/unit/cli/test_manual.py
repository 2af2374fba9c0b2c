"""`archiver manual` shows the pages in `archiver/manual/`, and lists them."""

import re
from importlib.resources import files
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from archiver.cli import manual_pages
from archiver.cli.main import cli
from archiver.cli.manual_pages import description, rendered

CRON = """# Cron

Run a backup every night with [cron](https://example.org/cron), e.g. at 2:30. More
follows here, and some of it is about [systemd timers](systemd.md#when).

## Every hour

- one item that is too long for a line of forty columns, so that it
  continues
1. another

```sh
archiver backup -a videos ids.txt   # is too long for forty columns, and not wrapped
```

| option | meaning                                   |
|--------|-------------------------------------------|
"""


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manual of two pages."""
    (tmp_path / "systemd.md").write_text("# Systemd\nTimers are better than cron\n\nMore.\n")
    (tmp_path / "cron.md").write_text(CRON)
    (tmp_path / "__init__.py").touch()
    monkeypatch.setattr(manual_pages, "_directory", lambda: tmp_path)
    return tmp_path


def manual(*args: str) -> Result:
    """Run the command; standard output is no terminal."""
    return CliRunner().invoke(cli, ["manual", *args])


def test_topics_are_listed_with_a_sentence_each(pages: Path) -> None:
    """In alphabetical order, each with the first sentence of its page."""
    listed = manual()
    assert listed.exit_code == 0
    assert re.findall(r"^  (\S+) +(.+)$", listed.output, re.MULTILINE) == [
        ("cron", "Run a backup every night with cron, e.g. at 2:30."),
        ("systemd", "Timers are better than cron"),
    ]


def test_a_page_is_printed_as_it_is(pages: Path) -> None:
    """Where standard output is no terminal, a page is plain Markdown."""
    assert manual("cron").output == CRON


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("crom", "did you mean cron?"), ("system", "did you mean systemd?"),
        ("zzz", "'archiver manual' lists them"), ("../cron", "did you mean cron?"), ("", "lists"),
    ],
)  # fmt: skip
def test_an_unknown_topic_is_an_error(pages: Path, topic: str, hint: str) -> None:
    """The exit status is 2, and the nearest topic is suggested."""
    result = manual(topic)
    assert result.exit_code == 2
    assert f"no such topic: {topic!r}; " in result.output
    assert hint in result.output


def test_a_terminal_has_wrapped_paragraphs() -> None:
    """Headings and links are plain, and neither code nor tables are wrapped."""
    lines = click.unstyle(rendered(CRON, 40)).splitlines()
    assert lines[:7] == [
        "Cron",
        "",
        "Run a backup every night with cron",
        "(https://example.org/cron), e.g. at",
        "2:30. More follows here, and some of it",
        "is about systemd timers (archiver manual",
        "systemd).",
    ]
    assert lines[8:13] == [
        "Every hour",
        "",
        "- one item that is too long for a line",
        "  of forty columns, so that it continues",
        "1. another",
    ]
    code, tables = lines[14], lines[16:]
    assert code.startswith("    archiver backup -a videos ids.txt   # ")
    assert code.endswith(", and not wrapped")
    assert tables == CRON.splitlines()[-2:]


def test_a_wide_terminal_has_lines_of_80_columns() -> None:
    """Longer lines are hard to read."""
    text = rendered("word " * 100, 200)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# Title\n\nOne. Two.\n", "One."), ("# Title\nOne\ntwo. Three\n", "One two."),
        ("# Title\n\n## Section\n\nVersion 1.2 is out! See.\n", "Version 1.2 is out!"),
        ("no title, no end", "no title, no end"), ("# Title\n", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_description_is_the_first_sentence(text: str, sentence: str) -> None:
    """Below the headings, in one line."""
    assert description(text) == sentence


def test_each_page_of_ours_has_a_description() -> None:
    """A sentence that fits beside the name of its topic."""
    topics = {page.name for page in (files("archiver") / "manual").iterdir()}
    for name, sentence in manual_pages.topics().items():
        assert f"{name}.md" in topics
        assert sentence.endswith(".")
        assert len(sentence) <= 120
        assert "`" not in name
        assert manual(name).exit_code == 0
