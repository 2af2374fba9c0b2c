"""Shells complete commands, options and paths, by a script that the program prints."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.running import COMMAND

pytestmark = pytest.mark.slow

SHELLS = {"bash": ("bash", "-n"), "zsh": ("zsh", "-n"), "fish": ("fish", "--no-execute")}
"""How each shell reads a script without running it."""


def env(home: Path, **more: str) -> dict[str, str]:
    """Return an environment in which `archiver` is found and the home is a test's."""
    places = f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": places, "HOME": str(home), **more}


def run(home: Path, *command: str, **more: str) -> str:
    """Run a command that succeeds without an error; return its output."""
    if not shutil.which(command[0], path=env(home)["PATH"]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        command, env=env(home, **more), cwd=home, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def completed_in_bash(home: Path, *words: str) -> list[str]:
    """Return the completions of the last word in bash."""
    # Bash itself completes paths, as `compopt` requests, which works only at a prompt.
    code = (
        'eval "$(archiver completion bash)"; compopt() { echo "$@"; }; COMP_WORDS=("$@"); '
        'COMP_CWORD=$(($# - 1)); _archiver_completion archiver; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return run(home, "bash", "--norc", "-c", code, "bash", "archiver", *words).split("\n")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_can_read_its_script(tmp_path: Path, shell: str) -> None:
    """Its syntax is right for the shell."""
    script = tmp_path / "script"
    script.write_text(run(tmp_path, "archiver", "completion", shell))
    run(tmp_path, *SHELLS[shell], str(script))


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (("ba",), ["backup"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("manual", "sys"), ["systemd"]),
        (("backup", "--api-k"), ["--api-key-file"]),
        (("backup", "--downloads"), ["--downloads", "--downloads-per-host"]),
        (("verify", "--no-re"), ["--no-read", "--no-repair"]),
        (("backup", "--log-format", "j"), ["json"]),
        (("backup", "-a", "v"), ["-o dirnames", ""]),
        (("--config", "v"), ["-o default", ""]),
        (("backup", "v"), ["-o default", ""]),
        (("backup", "-a", "x", "one", "v"), ["-o default", ""]),
        (("status", "-a", "x", "v"), ["-o default", ""]),
        (("link", "-a", "x", "v"), ["-o dirnames", ""]),
        (("link", "--sym"), ["--symbolic"]),
        (("backup", "--api-key-file", "v"), ["-o default", ""]),
    ],
)
def test_bash_completes(tmp_path: Path, words: tuple[str, ...], completions: list[str]) -> None:
    """Commands, options, choices; files for a manifest, and directories for the archive."""
    assert completed_in_bash(tmp_path, *words) == completions


def test_fish_completes(tmp_path: Path) -> None:
    """The same in fish, paths included."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "vids.txt").touch()
    typed = ["archiver ba", "archiver backup -a v", "archiver backup v"]
    code = "archiver completion fish | source; " + "; ".join(
        f"complete -C '{line}'" for line in typed
    )
    completions = run(tmp_path, "fish", "--no-config", "-c", code).splitlines()
    assert [line.split("\t")[0] for line in completions] == [
        "backup",
        "videos/",
        "videos/",
        "vids.txt",
    ]


def test_fish_shows_whole_sentences(tmp_path: Path) -> None:
    """Help with a comma is not cut in half."""
    code = "archiver completion fish | source; complete -C 'archiver backup --log-form'"
    completions = run(tmp_path, "fish", "--no-config", "-c", code)
    assert (
        completions == "--log-format\tFormat of the log file: text; or one JSON object per line.\n"
    )


def test_completion_reads_no_configuration_file(tmp_path: Path) -> None:
    """It may be slow to read, or wrong."""
    os.mkfifo(tmp_path / "endless.toml")
    request = {"_ARCHIVER_COMPLETE": "bash_complete", "COMP_WORDS": "archiver verify --sam"}
    config = str(tmp_path / "endless.toml")
    completions = run(tmp_path, "archiver", ARCHIVER_CONFIG=config, COMP_CWORD="2", **request)
    assert completions == "plain,--sample\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_help_has_a_line_for_each_shell(tmp_path: Path, shell: str) -> None:
    """The line is to be copied to the shell's configuration."""
    page = run(tmp_path, "archiver", "completion", "--help")
    assert f"archiver completion {shell}" in page
