"""Shells complete commands, options and paths, by a script that the program prints."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.running import COMMAND

SHELLS = {"bash": ("bash", "-n"), "zsh": ("zsh", "-n"), "fish": ("fish", "--no-execute")}
"""How each shell reads a script without running it."""


def env(home: Path, **more: str) -> dict[str, str]:
    """Return an environment in which `archiver` is found and the home is a test's."""
    places = f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": places, "HOME": str(home), **more}


def run(home: Path, *command: str, **more: str) -> str:
    """Run a command that succeeds without a complaint; return what it says."""
    if not shutil.which(command[0], path=env(home)["PATH"]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        command, env=env(home, **more), cwd=home, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def completed_in_bash(home: Path, *words: str) -> list[str]:
    """Return what the script answers in bash, where the last word is not yet whole."""
    # The shell itself completes paths, and is told so by `compopt`, which must be at a prompt.
    code = (
        'eval "$(archiver completion bash)"; compopt() { echo "$@"; }; COMP_WORDS=("$@"); '
        'COMP_CWORD=$(($# - 1)); _archiver_completion archiver; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return run(home, "bash", "--norc", "-c", code, "bash", "archiver", *words).split("\n")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_can_read_its_script(tmp_path: Path, shell: str) -> None:
    """Each shell can read the script that is meant for it."""
    script = tmp_path / "script"
    script.write_text(run(tmp_path, "archiver", "completion", shell))
    run(tmp_path, *SHELLS[shell], str(script))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ba",), ["backup"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("backup", "--api-k"), ["--api-key-file"]),
        (("backup", "--downloads"), ["--downloads", "--downloads-per-host"]),
        (("verify", "--no-re"), ["--no-repair"]),
        (("backup", "--log-format", "j"), ["json"]),
        (("backup", "-a", "v"), ["-o dirnames", ""]),
        (("--config", "v"), ["-o default", ""]),
        (("backup", "v"), ["-o default", ""]),
        (("backup", "-a", "x", "one", "v"), ["-o default", ""]),
        (("status", "-a", "x", "v"), ["-o default", ""]),
        (("backup", "--api-key-file", "v"), ["-o default", ""]),
    ],
)
def test_bash_completes(tmp_path: Path, words: tuple[str, ...], offered: list[str]) -> None:
    """Commands, options, choices; files for a manifest, and directories for the archive."""
    assert completed_in_bash(tmp_path, *words) == offered


def test_fish_completes(tmp_path: Path) -> None:
    """The same in fish, paths included."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "vids.txt").touch()
    asked = ["archiver ba", "archiver backup -a v", "archiver backup v"]
    code = "archiver completion fish | source; " + "; ".join(f"complete -C '{a}'" for a in asked)
    said = run(tmp_path, "fish", "--no-config", "-c", code).splitlines()
    assert [line.split("\t")[0] for line in said] == ["backup", "videos/", "videos/", "vids.txt"]


def test_fish_is_told_whole_sentences(tmp_path: Path) -> None:
    """A comma is no end: fish would be told half of what an option means."""
    code = "archiver completion fish | source; complete -C 'archiver backup --log-form'"
    said = run(tmp_path, "fish", "--no-config", "-c", code)
    assert said == "--log-format\tFormat of the log file: text; or one JSON object per line.\n"


def test_no_file_keeps_a_shell_from_completing(tmp_path: Path) -> None:
    """While somebody types, the configuration file is not read: it may be slow, or wrong."""
    os.mkfifo(tmp_path / "endless.toml")
    asked = {"_ARCHIVER_COMPLETE": "bash_complete", "COMP_WORDS": "archiver verify --sam"}
    config = str(tmp_path / "endless.toml")
    said = run(tmp_path, "archiver", ARCHIVER_CONFIG=config, COMP_CWORD="2", **asked)
    assert said == "plain,--sample\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_help_says_what_to_do(tmp_path: Path, shell: str) -> None:
    """The command's help has a line to copy for each shell."""
    page = run(tmp_path, "archiver", "completion", "--help")
    assert f"archiver completion {shell}" in page
