"""The README and the manual: their commands run, and what they name exists."""

import ast
import http
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from archiver.cli.main import cli
from archiver.emulator.scripts import Script
from archiver.emulator.server import Emulator
from tests.support.backups import KEY, generation
from tests.support.markdown import MANUAL, ROOT, Block, Page, table, topics
from tests.support.marks import slow
from tests.support.running import COMMAND, Ended, ended

README = Page(ROOT / "README.md")
TOPICS = topics()
GUIDES = [README, *TOPICS.values()]
EVERY_PAGE = [*GUIDES, *(Page(path) for path in sorted((ROOT / ".github").glob("*.md")))]

NOT_RUN = {
    "python3 -m venv": "makes an environment from the network: .ci/run does",
    ".venv/bin/pip install": "the same",
    "cd /opt/archiver && python3 -m venv": "the same",
    "pipx install": "the same",
    ".venv/bin/python -m pytest": "runs these very tests",
    ".ci/run": "runs these very tests",
    ".venv/bin/python -m tests.benchmarks small": "takes long, and needs servers",
    "useradd": "needs root",
    "install": "needs root and the user archiver",
    "runuser": "needs root and the user archiver; what it runs is run",
    "systemctl": "needs systemd as the init of this machine",
    "docker": "needs docker, and images from the network",
    "archiver sync s3:": "needs a bucket; test_sync_buckets.py runs it",
    "archiver sync /srv/videos s3:": "the same",
    "archiver verify -a s3:": "needs a bucket",
    "archiver backup -a s3:": "the same",
    "rclone": "needs rclone, and a remote; the script around it is run with a stand-in",
    "#!/bin/sh": "needs rclone; it is run with a stand-in",
    "aws s3": "needs the tool, and a bucket",
    **{
        f"archiver {command} -a s3://": "needs a bucket: another test runs it on one"
        for command in ("backup", "status", "verify", "export", "browse", "link")
    },
}
"""How the commands begin that are printed and cannot be run here, and why."""

OF_OTHERS = {
    "--array", "--cap-drop", "--cli-input-json", "--dependency", "--dist", "--download",
    "--immutable", "--init", "--job-name", "--list", "--no-cache-dir", "--no-create-home",
    "--now", "--one-way", "--open-mode", "--pairs", "--read-only", "--recursive", "--requeue",
    "--rm", "--root-user-action", "--security-opt", "--shell", "--size-only", "--stop-timeout",
    "--system", "--time", "--tmpfs", "--uid", "--validate",
}  # fmt: skip
"""The options of other programs that the guides name."""

NOT_OURS = {
    "Failed, Try Again",
    "Request not found",
    "Path",
    "is not readable",
    "status=226/NAMESPACE",
    *map(os.strerror, range(1, 134)),
    *(f"{status.value} {status.phrase}" for status in http.HTTPStatus),
}
"""Parts of messages that come from ModelsLab, Click, systemd and the system."""


@pytest.fixture
async def scripted(emulator: Emulator) -> Emulator:
    emulator.scripts |= {generation(name): Script() for name in ("deepfake/263", "realtime/147")}
    return emulator


class Machine:
    """A directory that stands for the root of the machine that the guides describe."""

    def __init__(self, root: Path, emulator: Emulator) -> None:
        self.root = root
        self.bin = root / "bin"
        for place in ("bin", "tmp", "srv/manifests", "mnt", "etc/archiver", ".config/archiver"):
            (root / place).mkdir(parents=True)
        (root / "opt/archiver/.venv/bin").mkdir(parents=True)
        (root / "opt/archiver/.venv/bin/archiver").symlink_to(COMMAND)
        (root / "srv/manifests/ids.txt").write_text("263\nrealtime/147\n")
        (root / "etc/archiver/api-key").write_text(f"{KEY}\n")
        (root / ".config/archiver/config.toml").write_text(
            f'api-url = "{emulator.api_url}"\nallow-private-links = true\nmin-free = "0"\n'
        )

    @property
    def archive(self) -> Path:
        """The archive of the guides."""
        return self.root / "srv/videos"

    def here(self, text: str) -> str:
        """Return commands or settings with the machine's paths in place of those printed."""
        text = re.sub(r"(?<![\w./])/(srv|mnt|opt|etc|tmp)/", rf"{self.root}/\1/", text)
        text = text.replace("bagit.py", '"$PYTHON" -W ignore -m bagit')
        return text.replace("MODELSLAB_API_KEY=...", f"MODELSLAB_API_KEY={KEY}")

    async def sh(self, script: str, **env: str) -> Ended:
        """Run a script as a person would, who has the key in the environment."""
        path = f"{self.bin}:{Path(COMMAND).parent}:{os.environ['PATH']}"
        full = {
            "PATH": path, "HOME": str(self.root), "MODELSLAB_API_KEY": KEY,
            "PYTHON": sys.executable, "CLONE": str(ROOT), **env,
        }  # fmt: skip
        return await ended("/bin/sh", "-c", self.here(script), env=full)

    async def cron(self, command: str, assignments: dict[str, str]) -> Ended:
        """Run a command as cron would: hardly any environment, and no input."""
        assert "%" not in command, "cron would end the command there"
        env = {"HOME": str(self.root), "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
        given = {name: self.here(value) for name, value in assignments.items()}
        return await ended("/bin/sh", "-c", self.here(command), env=env | given)

    async def back_up(self) -> None:
        """Archive the two generations of the list, and copy the archive."""
        assert (await self.sh("archiver backup -a /srv/videos /srv/manifests")).status == 0
        shutil.copytree(self.archive, self.root / "mnt/copy")


@pytest.fixture
def machine(tmp_path: Path, scripted: Emulator) -> Machine:
    return Machine(tmp_path, scripted)


# --- Commands


def _is_run(command: str) -> bool:
    return not command.startswith(tuple(NOT_RUN))


def _scripts_to_run() -> list[str]:
    """Return the scripts of all pages, without the commands that cannot be run."""
    scripts = (filter(_is_run, commands) for page in EVERY_PAGE for commands in page.scripts())
    return [script for script in map("\n".join, scripts) if script]


@slow
@pytest.mark.parametrize("script", _scripts_to_run())
async def test_each_script_that_is_printed_succeeds(script: str, machine: Machine) -> None:
    """Whatever the guides print for a shell does what it should, on an archive without faults."""
    await machine.back_up()
    if "tests.benchmarks" in script:
        script = script.replace(".venv/bin/python", 'cd "$CLONE" && "$PYTHON"')
    done = await machine.sh(f"set -e\n{script}")
    assert done.status == 0, done


def test_each_reason_not_to_run_a_command_is_needed() -> None:
    """The list of what is not run names nothing that no page prints."""
    printed = [command for page in EVERY_PAGE for script in page.scripts() for command in script]
    idle = {start for start in NOT_RUN if not any(each.startswith(start) for each in printed)}
    assert not idle


@slow
async def test_the_first_line_ends_in_a_demo_that_succeeds(machine: Machine) -> None:
    """The README's one line runs the demo, whose archive `sha256sum` finds to be true."""
    (line,) = (each for script in README.scripts() for each in script if "archiver demo" in each)
    assert "\n" not in line
    demo = line.split(" && ")[-1].removeprefix(".venv/bin/")
    done = await machine.sh(demo, TMPDIR=str(machine.root))
    assert done.status == 0, done
    check = re.search(r"^ *(\(cd .*sha256sum -c .*\))$", done.out, re.MULTILINE)
    assert check, done.out
    checked = await ended("/bin/sh", "-c", check[1])
    assert checked.status == 0, checked


def _crontab_lines() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield each job of the crontabs that are printed, with the variables set on its page."""
    for page in GUIDES:
        lines = "".join(block.text for block in page.blocks("crontab")).splitlines()
        assignments = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
        for line in lines:
            if job := re.match(r"(?:[\d*]+ +){5}(.*)", line):
                yield page.name, job[1], assignments


@slow
@pytest.mark.parametrize(("page", "command", "assignments"), list(_crontab_lines()))
async def test_cron_runs_each_line_in_silence(
    page: str, command: str, assignments: dict[str, str], machine: Machine
) -> None:
    """A line of a crontab works with what cron gives it, and prints nothing that it would mail."""
    await machine.back_up()
    assert await machine.cron(command, assignments) == Ended(0, "", "")


def test_there_are_crontabs() -> None:
    """The README and the page about cron have lines for nightly, hourly and weekly runs."""
    assert [page for page, _, _ in _crontab_lines()] == [
        *["README.md"] * 2,
        *["archiver/manual/cron.md"] * 3,
    ]


@slow
async def test_a_crontab_line_can_be_tried_by_hand(machine: Machine) -> None:
    """What is printed to try a line as cron would run it shows its exit status and its output."""
    scripts = (each for script in TOPICS["cron"].scripts() for each in script)
    (script,) = (each for each in scripts if each.startswith("runuser"))
    as_root, _, tried = script.partition(" -- ")
    assert as_root == "runuser -u archiver"
    done = await machine.sh(tried.replace("HOME=/ ", 'HOME="$HOME" '))
    assert (done.out, done.err) == ("0\n", "")
    assert list((machine.archive / "data").rglob("263.mp4"))


@slow
async def test_the_copy_script_makes_a_copy_that_verifies(machine: Machine) -> None:
    """The script for copies verifies, copies videos first and the manifest last, and cleans up."""
    assert (await machine.sh("archiver backup -a /srv/videos /srv/manifests")).status == 0
    copy = machine.root / "mnt/copy"
    _executable(
        machine.bin / "rclone",
        f"""\
        #!/bin/sh
        echo "$@" >>{machine.root}/rclone.log
        while [ $# -gt 2 ]; do shift; done
        to={copy}/${{2#remote:videos}}
        mkdir -p "$to" && cp -Rp "$1/." "$to"
        """,
    )
    (script,) = (s for (s,) in _single(TOPICS["copies"].scripts()) if s.startswith("#!"))
    done = await machine.sh(script, TMPDIR=str(machine.root / "tmp"))
    assert done == Ended(0, "", ""), done
    assert not list((machine.root / "tmp").iterdir())
    log = (machine.root / "rclone.log").read_text().splitlines()
    assert [line.split()[-1] for line in log] == ["remote:videos/data", "remote:videos"]
    assert not (copy / ".archiver").exists()
    assert (await machine.sh("archiver verify -a /mnt/copy")).status == 0


@slow
async def test_the_copy_script_waits_for_a_run_that_holds_the_archive(machine: Machine) -> None:
    """The lock that the script takes with `flock` is the one that keeps two runs apart."""
    await machine.back_up()
    backup = "archiver backup -a /srv/videos /srv/manifests"
    locked = await machine.sh(f"cd /srv/videos && flock .archiver {backup}")
    assert locked.status == 75, locked


def _executable(path: Path, script: str) -> None:
    path.write_text(textwrap.dedent(script))
    path.chmod(0o755)


def _single(scripts: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [commands for commands in scripts if len(commands) == 1]


# --- Units, images, settings, the library


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
async def test_systemd_accepts_the_units(machine: Machine) -> None:
    """`systemd-analyze verify` accepts the units that are printed without a word."""
    units = _units(TOPICS["systemd"].blocks("ini"))
    assert sorted(units) == ["archiver-failure@.service", "archiver.service", "archiver.timer"]
    directory = machine.root / "units"
    directory.mkdir()
    for name, text in units.items():
        (directory / name).write_text(machine.here(text))
    paths = [str(directory / name) for name in units]
    done = await ended("systemd-analyze", "verify", "--man=no", *paths)
    about_ours = [line for line in done.err.splitlines() if "archiver" in line]
    assert (done.status, about_ours) == (0, []), done


def test_the_service_does_not_hide_the_boot() -> None:
    """Without its ID no later run resumes a download."""
    service = _units(TOPICS["systemd"].blocks("ini"))["archiver.service"]
    assert "ProcSubset=" not in service


def _units(blocks: list[Block]) -> dict[str, str]:
    """Return the units by their names, which stand in the first line."""
    return {Path(block.text.splitlines()[0]).name: block.text for block in blocks}


def test_the_image_copies_what_is_there() -> None:
    """Each file that the Dockerfile copies exists in a clone."""
    copies = re.findall(r"^COPY (.+) \S+$", TOPICS["container"].text, re.MULTILINE)
    sources = [source for line in copies for source in line.split()]
    assert "archiver" in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


async def test_the_configuration_file_is_understood(machine: Machine) -> None:
    """The options in the README's configuration file are those of the command."""
    (block,) = README.blocks("toml")
    (machine.root / "tmp/example.toml").write_text(machine.here(block.text))
    done = await machine.sh("archiver backup --config /tmp/example.toml --dry-run")
    assert done.status == 0, done
    assert "263" in done.out


async def test_the_library_example_runs(machine: Machine, scripted: Emulator) -> None:
    """The README's example of the library archives a list, and verifies the archive."""
    (block,) = README.blocks("python")
    call = 'archiver.ApiSettings(archiver.ApiKey("…"))'
    assert call in block.text
    code = block.text.replace(
        call,
        f'archiver.ApiSettings(archiver.ApiKey("{KEY}"), "{scripted.api_url}"),'
        " archiver.DownloadSettings(allow_private=True, min_free=0)",
    )
    example = machine.root / "example.py"
    example.write_text(machine.here(code))
    done = await ended(sys.executable, str(example))
    assert (done.status, done.err) == (0, ""), done
    assert done.out.splitlines()[:3] == ["0", "2", "0"]


# --- What is named


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Page) -> None:
    """Each relative link names a file, and each anchor a heading in it."""
    for link in page.links():
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = Page((page.path.parent / path).resolve() if path else page.path)
        assert target.path.is_file(), link
        assert not anchor or anchor in target.anchors(), link


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_paths_of_the_repository_exist(page: Page) -> None:
    """What is named as a file or a package of ours is there."""
    ours = (span for span in page.spans() if re.match(r"(archiver|tests|\.ci|\.github)/", span))
    assert [span for span in ours if not (ROOT / span).exists()] == []


def _options_of(command: str) -> set[str]:
    known = cli.commands[command]
    return {"--help"} | {
        name for param in known.params for name in (*param.opts, *param.secondary_opts)
    }


OPTIONS = {command: _options_of(command) for command in cli.commands}
EVERY_OPTION = {"--version"}.union(*OPTIONS.values())


def test_every_option_exists() -> None:
    """Each option in the guides is one of ours, or of a program that is known to be another."""
    text = "\n".join(page.text for page in EVERY_PAGE)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    assert named - EVERY_OPTION == OF_OTHERS


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_commands_are_given_options_of_their_own(page: Page) -> None:
    """Where a command of ours is called, each option is one of that command's."""
    text = page.text.replace("\\\n", " ")
    for command, rest in re.findall(r"archiver ([a-z]+)((?: [^`\n&|;#']*)?)", text):
        if command in OPTIONS:
            given = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest)
            assert set(given) <= OPTIONS[command], (command, rest)


def test_every_variable_is_read() -> None:
    """Each `ARCHIVER_…` variable in the guides is read for an option."""
    read = {
        param.envvar
        for command in cli.commands.values()
        for param in command.params
        if param.envvar
    }
    named = {name for page in GUIDES for name in re.findall(r"ARCHIVER_[A-Z_]+", page.text)}
    assert named
    assert named <= read


def test_every_topic_exists() -> None:
    """Each `archiver manual TOPIC` in the guides names a page."""
    text = "\n".join(page.text for page in EVERY_PAGE)
    assert set(re.findall(r"archiver manual ([a-z]+)", text)) <= set(TOPICS)


def test_the_readme_links_to_every_topic() -> None:
    """Each page of the manual is linked from the README."""
    linked = {Path(link).stem for link in README.links() if link.startswith("archiver/manual/")}
    assert linked == set(TOPICS)


# --- Form


def test_the_readme_is_short() -> None:
    """The README has at most 1,500 words."""
    assert len(README.text.split()) <= 1500


@pytest.mark.parametrize("topic", TOPICS)
def test_pages_of_the_manual_read_well_in_a_terminal(topic: str) -> None:
    """A page begins with its title and one sentence, has no long lines and no HTML."""
    text = TOPICS[topic].text
    assert re.match(r"# [A-Z][^\n]*\n\n[A-Z][^.]*\.\n\n", text)
    assert [line for line in text.splitlines() if len(line) > 100] == []
    assert not re.search(r"</?[a-z]+[ />]", TOPICS[topic].prose)


async def test_the_manual_lists_its_topics_and_prints_them() -> None:
    """`archiver manual` names each topic with its sentence, and with a topic prints the page."""
    listed = " ".join((await ended(COMMAND, "manual")).out.split())
    for topic, page in TOPICS.items():
        sentence = " ".join(page.text.split("\n\n")[1].split()).rstrip(".")
        assert topic in listed
        assert sentence in listed
        assert (await ended(COMMAND, "manual", topic)).out.strip() == page.text.strip()


def test_the_manual_has_no_stray_files() -> None:
    """The package of the manual contains pages, and nothing else."""
    names = {path.name for path in MANUAL.iterdir() if path.name != "__pycache__"}
    assert names == {"__init__.py", *(f"{topic}.md" for topic in TOPICS)}


async def test_exit_statuses_are_those_of_the_help() -> None:
    """The README's table of exit statuses is the one in `archiver --help`."""
    out = (await ended(COMMAND, "--help")).out
    lines = out.partition("Exit status")[2].splitlines()[1:]
    shown: dict[str, str] = {}
    for line in lines:
        if row := re.match(r" +(\d[\d, ]*?)  +(\S.*)", line):
            shown[row[1]] = row[2]
        elif line.strip():
            shown[list(shown)[-1]] += f" {line.strip()}"
    assert shown == table(README.text, "| code | meaning |")


# --- Troubleshooting


def _entries() -> Iterator[tuple[str, str]]:
    """Yield each message of the page, and what is in the brackets that follow."""
    for item in re.findall(r"^- (`.*):$", TOPICS["troubleshooting"].text, re.MULTILINE):
        brackets = re.search(r" \(([^()]*)\)$", item)
        for message in re.findall(r"`([^`]+)`", item):
            yield message, brackets[1] if brackets else ""


def test_troubleshooting_names_statuses_of_the_table() -> None:
    """The status that a message leads to is one of the exit statuses."""
    codes = set(table(README.text, "| code | meaning |"))
    for message, brackets in _entries():
        assert set(re.findall(r"\d+", brackets)) <= codes, message


@pytest.mark.parametrize("message", [message for message, _ in _entries()])
def test_troubleshooting_has_messages_of_the_program(message: str) -> None:
    """Each fixed part of a message stands in the program, in these words."""
    parts = (part.strip(" .,:;()?'") for part in re.split(r"…|: | \(", message))
    fixed = {part for part in parts if len(part) > 2}
    assert fixed
    assert [part for part in fixed - NOT_OURS if part not in _program_text()] == []


@cache
def _program_text() -> str:
    """Return every string of the program but docstrings, each on a line of its own."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "archiver").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    strings = [node for node in nodes if isinstance(node, ast.Constant)]
    return "\n".join(str(node.value) for node in strings if id(node) not in docstrings)
