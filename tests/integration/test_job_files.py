"""The job files of the manual are what each scheduler takes, and do what the page says."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from archiver.archive.writable import WritableBag
from archiver.emulator.scripts import Script
from archiver.shards import INDEXES, Shard, shard_of
from tests.support.backups import KEY, generation
from tests.support.markdown import ROOT, Page, table, topics
from tests.support.running import COMMAND, Ended, Workspace, ended

SCALE: Page = topics()["scale"]
IDS = [str(number) for number in range(3000, 3030)]
OF = 8


def block(language: str, contains: str) -> str:
    """Return the block of the page that has this in it."""
    (found,) = (each.text for each in SCALE.blocks(language) if contains in each.text)
    return found


def retried() -> dict[int, bool]:
    """Return which exit statuses the page holds to be worth a retry, and which not."""
    rows = table(SCALE.text, "| status | worth a retry | because |")
    return {int(status): row.startswith("yes |") for status, row in rows.items()}


@pytest.fixture
def cluster(workspace: Workspace) -> Workspace:
    """A machine with the paths of the job files, and a list of videos."""
    for place in ("bin", "srv/shards", "srv/manifests", "etc/archiver"):
        (workspace.home / place).mkdir(parents=True)
    workspace.emulator.scripts |= {generation(id_): Script() for id_ in IDS}
    workspace.manifest(*IDS, name="srv/manifests/ids.txt")
    (workspace.home / "etc/archiver/api-key").write_text(KEY)
    (workspace.home / "bin/archiver").symlink_to(COMMAND)
    return workspace


def here(workspace: Workspace, text: str) -> str:
    """Return a text with this machine's paths in place of those of the page."""
    text = text.replace("/opt/archiver/.venv/bin/archiver", "archiver")
    return re.sub(r"(?<![\w./])/(srv|etc)/", rf"{workspace.home}/\1/", text)


def env(workspace: Workspace, **more: str) -> dict[str, str]:
    """Return the environment of a task, which may also reach the emulator."""
    path = f"{workspace.home}/bin:{os.environ['PATH']}"
    quick = {"ARCHIVER_API_URL": workspace.emulator.api_url, "ARCHIVER_API_RATE": "1000/s"}
    return workspace.env(**quick) | {"PATH": path, **more}


def held(workspace: Workspace, number: int) -> list[str]:
    """Return the IDs of the videos in the archive of a shard."""
    archive = workspace.home / "srv/shards" / str(number)
    return sorted(path.stem for path in archive.rglob("*.mp4"))


def part(number: int) -> list[str]:
    """Return the IDs of a shard."""
    return [id_ for id_ in IDS if shard_of(id_, OF) == number]


# --- Exit statuses


def test_every_exit_status_is_worth_a_retry_or_not() -> None:
    """The page's table has each of the README's, but for success, and SIGKILL's."""
    known = {int(code) for code in table((ROOT / "README.md").read_text(), "| code | meaning |")}
    assert {*retried()} == known - {0} | {137}


# --- Slurm


def slurm_script() -> str:
    return block("bash", "#SBATCH")


async def task(workspace: Workspace, number: int, **more: str) -> tuple[Ended, list[str]]:
    """Run a task of the array as Slurm would; return what it asked of Slurm, too."""
    log = workspace.home / "scontrol.log"
    scontrol = workspace.home / "bin/scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >>{log}\n')
    scontrol.chmod(0o755)
    script = workspace.home / "job.sh"
    script.write_text(here(workspace, slurm_script()).replace("--lock-wait 5m", "--lock-wait 0"))
    array = {
        "SLURM_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_MIN": "0",
        "SLURM_ARRAY_TASK_MAX": "7", "SLURM_ARRAY_TASK_COUNT": "8",
    }  # fmt: skip
    environment = env(workspace, **array, **more)
    del environment["MODELSLAB_API_KEY"]  # the script names a file
    done = await ended("bash", str(script), env=environment)
    return done, log.read_text().splitlines() if log.exists() else []


async def test_the_slurm_script_is_clean(tmp_path: Path) -> None:
    """`shellcheck` finds nothing in it."""
    shellcheck = shutil.which("shellcheck", path=f"{Path(COMMAND).parent}:{os.environ['PATH']}")
    if not shellcheck:
        pytest.skip("shellcheck is not installed")
    (tmp_path / "job.sh").write_text(slurm_script())
    done = await ended(shellcheck, str(tmp_path / "job.sh"))
    assert done == Ended(0, "", "")


def test_the_slurm_array_is_the_shards() -> None:
    """It counts from 0 to N - 1, and as many run at a time as share the rate."""
    script = slurm_script()
    array = re.search(r"^#SBATCH --array=0-(\d+)%(\d+)$", script, re.MULTILINE)
    assert array
    assert f"ARCHIVER_SHARDS={int(array[1]) + 1} " in script
    assert f"ARCHIVER_API_SHARE={array[2]}\n" in script


async def test_a_slurm_task_backs_up_its_shard(cluster: Workspace) -> None:
    """It archives its part, and asks for nothing more."""
    done, asked = await task(cluster, 3)
    assert (done, asked) == (Ended(0, "", ""), [])
    assert held(cluster, 3) == part(3)


async def test_slurm_retries_what_is_worth_it(cluster: Workspace) -> None:
    """Of the locked archive, five times; the list that is not understood, never."""
    with WritableBag.open(cluster.home / "srv/shards/3"):
        done, asked = await task(cluster, 3)
        assert (done.status, asked) == (75, ["requeue 77"])
        done, asked = await task(cluster, 3, SLURM_RESTART_COUNT="5")
        assert (done.status, asked) == (75, ["requeue 77"])
    cluster.manifest("no such thing", name="srv/manifests/more.txt")
    done, asked = await task(cluster, 0)
    assert (done.status, asked) == (3, ["requeue 77"])


def test_slurm_retries_just_what_the_page_says() -> None:
    """The statuses in the script are those of the table."""
    line = re.search(r"^([\d| ]+)\)$", slurm_script(), re.MULTILINE)
    assert line
    assert {int(code) for code in line[1].split("|")} == {s for s, yes in retried().items() if yes}


# --- Kubernetes


def kubernetes_job() -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(block("yaml", "kind: Job"))


def test_kubernetes_accepts_the_job() -> None:
    """The schema of its API, which the package brings along, has nothing against it."""
    kubernetes = pytest.importorskip("kubernetes_validate")
    job = kubernetes_job()
    kubernetes.validate(job, "1.33", strict=True)
    job["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"] = ["2"]
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate(job, "1.33", strict=True)


def test_the_kubernetes_job_is_one_of_shards() -> None:
    """What its API demands beyond the schema, and as many tasks as shards."""
    job = kubernetes_job()["spec"]
    (container,) = job["template"]["spec"]["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert job["completionMode"] == "Indexed"
    assert env["ARCHIVER_SHARDS"] == str(job["completions"])
    assert env["ARCHIVER_API_SHARE"] == str(job["parallelism"])
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # for a podFailurePolicy
    assert job["backoffLimitPerIndex"] > 0  # for FailIndex
    mounts = {each["name"] for each in container["volumeMounts"]}
    assert mounts == {each["name"] for each in job["template"]["spec"]["volumes"]}


def test_kubernetes_does_not_retry_in_vain() -> None:
    """A shard fails at once with each status that is not worth a retry, and with no other."""
    rules = kubernetes_job()["spec"]["podFailurePolicy"]["rules"]
    (codes,) = (rule["onExitCodes"] for rule in rules if rule["action"] == "FailIndex")
    assert codes["operator"] == "In"
    assert {*codes["values"]} == {status for status, yes in retried().items() if not yes}
    assert {2, 3, 77} <= {*codes["values"]}


async def test_a_kubernetes_task_backs_up_its_shard(cluster: Workspace) -> None:
    """The container's arguments and environment, with the index that Kubernetes adds."""
    (container,) = kubernetes_job()["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    args = [here(cluster, each) for each in container["args"]]
    args = [re.sub(r"=/srv/", f"={cluster.home}/srv/", each) for each in args]
    done = await ended(COMMAND, *args, env=env(cluster, JOB_COMPLETION_INDEX="5", **given))
    assert done == Ended(0, "", "")
    assert held(cluster, 5) == part(5)


# --- AWS Batch


def aws_definition() -> Any:
    return json.loads(block("json", "jobDefinitionName"))


def aws_submission() -> Any:
    return json.loads(block("json", "jobQueue"))


def aws_problems(operation: str, request: Any) -> str:
    """Return what AWS' own model of a request has against one; it needs no network."""
    pytest.importorskip("botocore")
    from botocore.session import Session  # noqa: PLC0415
    from botocore.validate import ParamValidator  # noqa: PLC0415

    shape = Session().get_service_model("batch").operation_model(operation).input_shape
    assert shape
    problems: str = ParamValidator().validate(request, shape).generate_report()
    return problems


def test_aws_accepts_the_requests() -> None:
    """Both are what AWS' model of its API says; a name that it does not know is found."""
    assert aws_problems("RegisterJobDefinition", aws_definition()) == ""
    assert "nonsense" in aws_problems("RegisterJobDefinition", {"nonsense": 1})
    assert aws_problems("SubmitJob", aws_submission()) == ""


def test_the_aws_array_is_the_shards() -> None:
    """The task's count, and the name of the definition, agree in both."""
    definition, submission = aws_definition(), aws_submission()
    given = {
        each["name"]: each["value"] for each in definition["containerProperties"]["environment"]
    }
    assert given["ARCHIVER_SHARDS"] == str(submission["arrayProperties"]["size"])
    assert given["ARCHIVER_API_SHARE"] == given["ARCHIVER_SHARDS"]  # an array runs all at a time
    assert submission["jobDefinition"] == definition["jobDefinitionName"]


def test_aws_does_not_retry_in_vain() -> None:
    """At most five rules; each ends what is not worth a retry, but for a person's Ctrl-C."""
    rules = aws_definition()["retryStrategy"]["evaluateOnExit"]
    assert len(rules) <= 5
    assert {rule["action"] for rule in rules} == {"EXIT"}
    ended_by_rule = {int(rule["onExitCode"]) for rule in rules}
    assert ended_by_rule == {status for status, yes in retried().items() if not yes} - {130}


async def test_an_aws_task_backs_up_its_shard(cluster: Workspace) -> None:
    """The container's command and environment, with what Batch adds."""
    container = aws_definition()["containerProperties"]
    given = {each["name"]: each["value"] for each in container["environment"]}
    args = [here(cluster, each) for each in container["command"]]
    args = [re.sub(r"=/srv/", f"={cluster.home}/srv/", each) for each in args]
    size = str(aws_submission()["arrayProperties"]["size"])
    batch = {"AWS_BATCH_JOB_ARRAY_INDEX": "6", "AWS_BATCH_JOB_ARRAY_SIZE": size}
    done = await ended(COMMAND, *args, env=env(cluster, **batch, **given))
    assert done == Ended(0, "", "")
    assert held(cluster, 6) == part(6)


# --- The page itself


def test_the_page_has_the_shard_right() -> None:
    """What it prints to find a shard prints the program's; the variables are the program's."""
    (command,) = (c for script in SCALE.scripts() for c in script if c.startswith("python3"))
    assert 'b"263"' in command
    assert command.endswith("% 8)'")
    assert all(name in SCALE.text for name in INDEXES)
    assert str(Shard(shard_of("263", 8), 8)) == "3/8"
