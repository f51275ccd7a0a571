"""Builds the images of the Dockerfile without a container engine, and runs them on real inputs.

Buildah, from Debian's packages, builds the unmodified Dockerfile. The base image is not downloaded,
but made with debootstrap from the same release of Debian. It differs from the official image
`python:3.13-slim-trixie`:

- Python is Debian's 3.13 below /usr, instead of one built from source below /usr/local. The
  commands python, python3 and python3.13 are in /usr/local/bin too.
- pip is available only in virtual environments. The Dockerfile makes one.
- The Debian packages are those of `debootstrap --variant=minbase`, and the dependencies of Python.

All files are below build/image: 10 GiB during the build, 4 GiB afterwards. A second run reuses the
base image. The user must be root, for debootstrap and chroot.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
BUILD_PATH = ROOT / "build" / "image"
WORK_PATH = BUILD_PATH / "work"
CONTAINER_PATH = Path("/proof")

RELEASE = "trixie"
PYTHON = "python3.13"
BASE_IMAGE = f"localhost/{PYTHON.replace('3', ':3', 1)}-slim-{RELEASE}"
IMAGE = "localhost/tfx-best-exporter:proof"
LIGHT_IMAGE = "localhost/tfx-best-exporter-light:proof"
LIGHT_MIB = 450

TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap"}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# A step runs this executor with an entry point: that of the image, or one that the pipeline names.
EXECUTOR = "tfx_best_exporter.executor.executor.Executor"
TFX_ENTRY_POINT = [
    "python",
    "-m",
    "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
]
LEAN_ENTRY_POINT = ["python", "-m", "tfx_best_exporter.executor.container"]

NEEDED_GIB = 12

# These limits are generous. They only prevent that a command hangs forever.
APT_SECONDS = 900
DEBOOTSTRAP_SECONDS = 1200
BUILD_SECONDS = 2400
RUN_SECONDS = 600


class CannotRunError(Exception):
    """This machine cannot build the image."""


class FailedError(Exception):
    """The image failed a check, or a command failed."""


def main() -> None:
    """Runs all checks, and exits with code 1 if they fail or cannot run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--if-possible",
        action="store_true",
        help="print a message and succeed if this machine cannot build images",
    )
    arguments = parser.parse_args()
    # sys.exit runs the cleanup in `completed`, which ends all child processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("test-image: TERMINATED."))
    try:
        prepare()
        if BASE_IMAGE not in images():
            make_base()
        prove()
    except CannotRunError as error:
        if not arguments.if_possible:
            sys.exit(f"test-image: {error}")
        say(f"test-image: NOT RUN. {error}")
    except FailedError as error:
        sys.exit(f"test-image: FAILED. {error}")


def prepare() -> None:
    """Installs missing tools, and checks that this machine can build images.

    Raises:
        CannotRunError: This machine cannot build images.
        FailedError: A command took too long.
    """
    if os.geteuid() != 0:
        raise CannotRunError(
            f"The user must be root, for debootstrap and chroot (got {os.geteuid()})."
            " Run it as root, or build with Docker."
        )
    BUILD_PATH.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(BUILD_PATH).free / 2**30
    if free < NEEDED_GIB:
        raise CannotRunError(
            f"{NEEDED_GIB} GiB must be free below build/ (got {free:.1f} GiB). Free disk space."
        )
    if not shutil.which("apt-get"):
        raise CannotRunError("apt-get is not installed. Run this on Debian, or build with Docker.")
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing:
        say(f"installing {' and '.join(missing)}")
        apt_get("update", "-qq")
        apt_get("install", "-qq", "--no-install-recommends", *missing)
    if not mirror():
        apt_get("update", "-qq")
        if not mirror():
            raise CannotRunError(
                "apt has no mirror of Debian. Run this on Debian, or build with Docker."
            )
    try:
        container = buildah("from", "scratch")
        try:
            buildah("mount", container)
        finally:
            buildah("rm", container)
    except FailedError as error:
        raise CannotRunError(f"buildah cannot mount a container: {error}") from error


def apt_get(*arguments: str) -> None:
    """Runs apt-get.

    Raises:
        CannotRunError: Its exit code is not 0.
        FailedError: It took too long.
    """
    run = completed(
        ["apt-get", *arguments],
        APT_SECONDS,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if run.returncode:
        raise CannotRunError(f"apt-get {' '.join(arguments)} failed: {run.stdout.strip()[-300:]}")


def prove() -> None:
    """Builds the image and runs all checks.

    Raises:
        FailedError: A check or a command failed.
    """
    started = time.monotonic()
    build(IMAGE)
    build(LIGHT_IMAGE, "--target=light")
    config = config_of(IMAGE)
    light_config = config_of(LIGHT_IMAGE)
    check_config(config, TFX_ENTRY_POINT)
    check_config(light_config, LEAN_ENTRY_POINT)
    shutil.rmtree(WORK_PATH, ignore_errors=True)
    WORK_PATH.mkdir()
    with container_of(IMAGE) as container, container_of(BASE_IMAGE) as base:
        check_files(Path(buildah("mount", container)), Path(buildah("mount", base)))
        user = run_in(container, ["id", "-u"]).stdout.strip()
        if user == "0":
            raise FailedError("The image must not run as root.")
        say(f"image runs as user {user}")
        os.chown(WORK_PATH, int(user), int(user))
        say(run_in(container, ["python", "-m", "tests.image.contents"]).stdout.rstrip())
        say("writing two models and a TFMA evaluation in the image")
        run_in(container, ["python", "-m", "tests.image.inputs", str(CONTAINER_PATH / "work")])
        run_in(container, ["python", "-c", "import pipelines.penguin.trainer_module"])
        light_work = CONTAINER_PATH / "work" / "light"
        run_in(container, ["python", "-m", "tests.image.inputs", str(light_work)])
        check_runs(container, config["Entrypoint"], WORK_PATH)
    with container_of(LIGHT_IMAGE) as container, container_of(BASE_IMAGE) as base:
        size = check_files(Path(buildah("mount", container)), Path(buildah("mount", base)))
        if size > LIGHT_MIB:
            raise FailedError(
                f"The light image must have {LIGHT_MIB} MiB at most (got {size:,.0f})."
            )
        if run_in(container, ["id", "-u"]).stdout.strip() != user:
            raise FailedError(f"The light image must run as user {user}.")
        check_light_packages(container)
        check_runs(container, light_config["Entrypoint"], WORK_PATH / "light")
        check_refusal(container, WORK_PATH / "light")
    say(f"test-image: passed, in {time.monotonic() - started:.0f} s")


def make_base() -> None:
    """Makes the base image, which the docstring of this module describes."""
    source = mirror()
    assert source
    say(f"making {BASE_IMAGE} with debootstrap from {RELEASE}")
    with tempfile.TemporaryDirectory(dir=BUILD_PATH) as directory:
        root = Path(directory) / "root"
        root.mkdir(mode=0o755)
        packages = f"{PYTHON}-venv,ca-certificates"
        # debootstrap has scripts even for later releases: links to its script for unstable.
        output_of(
            "debootstrap",
            "--variant=minbase",
            f"--include={packages}",
            RELEASE,
            str(root),
            source,
            seconds=DEBOOTSTRAP_SECONDS,
        )
        # The official image has Python's headers but no compiler.
        script = f"""
            cd /tmp
            apt-get download -qq lib{PYTHON}-dev
            dpkg-deb --fsys-tarfile lib{PYTHON}-dev_*.deb | tar -x -C / ./usr/include
            rm lib{PYTHON}-dev_*.deb
            apt-get clean
            rm -rf /var/lib/apt/lists/*
            for name in python python3 {PYTHON}; do
              ln -s /usr/bin/{PYTHON} /usr/local/bin/$name
            done
        """
        output_of(
            *("chroot", str(root), "sh", "-euc", script),
            seconds=APT_SECONDS,
            env=CHROOT_ENVIRONMENT,
        )
        archive = Path(directory) / "base.tar"
        output_of("tar", "-C", str(root), "--numeric-owner", "-cf", str(archive), ".")
        container = buildah("from", "scratch")
        buildah("add", container, str(archive), "/")
        buildah("commit", "--quiet", "--rm", container, BASE_IMAGE)


CHROOT_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
}


def mirror() -> str | None:
    """Returns the URL of this machine's Debian mirror, or None if there is none."""
    targets = output_of(
        "apt-get",
        "indextargets",
        "--format",
        "$(ORIGIN) $(LABEL) $(REPO_URI)",
        "Created-By: Packages",
    )
    for line in targets.splitlines():
        if line.startswith("Debian Debian "):
            return line.split()[2]
    return None


def build(image: str, *options: str) -> None:
    """Builds a stage of the Dockerfile, with this machine's pip configuration as a secret.

    Args:
        image: Name of the image.
        options: More options of `buildah build`, such as the target.
    """
    say(f"building {image} with buildah")
    with tempfile.TemporaryDirectory(dir=BUILD_PATH) as directory:
        pip_config_path = Path(directory) / "pip.conf"
        pip_config_path.write_text(pip_config())
        command = [
            *buildah_command("build"),
            "--isolation=chroot",
            "--network=host",
            "--pull-never",
            "--secret=id=pip.conf,src=" + str(pip_config_path),
            *certificates(),
            *options,
            f"--tag={image}",
            str(ROOT),
        ]
        log_path = BUILD_PATH / "build.log"
        with log_path.open("w") as log:
            if completed(command, BUILD_SECONDS, stdout=log).returncode:
                end = "\n".join(log_path.read_text().splitlines()[-30:])
                raise FailedError(f"buildah could not build the Dockerfile:\n{end}")


def pip_config() -> str:
    """Returns this machine's pip options as a pip.conf.

    Options that name a path are omitted, because the path does not exist in a container.
    """
    listed = output_of(sys.executable, "-m", "pip", "config", "list")
    options = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        values = [
            each
            for each in ast.literal_eval(value).split()
            if not each.startswith(("/", "file:", "~", "."))
        ]
        if values:
            options[option] = " ".join(values)
    config = configparser.ConfigParser(interpolation=None)
    config["global"] = options
    with tempfile.TemporaryFile("w+") as file:
        config.write(file)
        file.seek(0)
        return file.read()


def certificates() -> list[str]:
    """Returns the option that mounts this machine's trusted certificates in a container."""
    return [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.exists() else []


def config_of(image: str) -> dict[str, Any]:
    """Returns the configuration of an image."""
    return json.loads(buildah("inspect", "--type", "image", image))["OCIv1"]["config"]


def check_config(config: dict[str, Any], entry_point: Sequence[str]) -> None:
    """Raises FailedError unless the image has an entry point and labels."""
    if config.get("Entrypoint") != entry_point:
        raise FailedError(f"ENTRYPOINT must be {entry_point} (got {config.get('Entrypoint')}).")
    if "org.opencontainers.image.title" not in config.get("Labels", {}):
        raise FailedError(f"The image must have a title label (got {config.get('Labels')}).")


def check_files(root: Path, base: Path) -> float:
    """Returns the size of the image's files in MiB.

    Args:
        root: Root of the image's files.
        base: Root of the base image's files.

    Raises:
        FailedError: The image has leftover files of the build.
    """
    packages = "var/lib/dpkg/status"
    if (root / packages).read_bytes() != (base / packages).read_bytes():
        raise FailedError("The image must have the Debian packages of its base (got others).")
    left = [
        path
        for pattern in (
            "root/.cache",
            "home/*/.cache",
            "var/lib/apt/lists/*",
            "var/cache/apt/archives/*.deb",
            "etc/pip.conf",
            "build",
            "mnt/*",
            "tmp/*",
        )
        for path in root.glob(pattern)
    ]
    left += list(root.rglob("*.whl"))
    left = [path for path in left if not (base / path.relative_to(root)).exists()]
    if left:
        names = ", ".join(f"/{path.relative_to(root)}" for path in sorted(left))
        raise FailedError(f"The image must not have leftover files of the build (got {names}).")
    sizes = {name: tree_size(path) / 2**20 for name, path in (("all", root), ("base", base))}
    say(
        f"image: {sizes['all']:,.0f} MiB of files, {sizes['base']:,.0f} of them in its base;"
        " no cache, and only the Debian packages of the base"
    )
    return sizes["all"]


def check_light_packages(container: str) -> None:
    """Raises FailedError unless the versions of the light image are those of the lock."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    lock = {re.sub(r"\[.*?\]", "", line).partition(" ;")[0] for line in lines}
    script = """
import importlib.metadata as metadata
for each in metadata.distributions():
    print(f"{each.name.lower().replace('_', '-')}=={each.version}")
"""
    installed = run_in(container, ["python", "-c", script]).stdout.split()
    others = [pin for pin in installed if pin not in lock and "tfx-best-exporter" not in pin]
    if others or not any(pin.startswith("tfx==") for pin in installed):
        raise FailedError(f"The light image must have the lock's versions (got {installed}).")
    say(f"light image: {len(installed)} distributions in the lock's versions")


def check_refusal(container: str, work_path: Path) -> None:
    """Raises FailedError unless the light image refuses a step with examples."""
    run = run_step(container, LEAN_ENTRY_POINT, work_path, "heavy")
    message = "a step with examples must run in the full image"
    if run.returncode == 0 or message not in run.stdout:
        raise FailedError(f"heavy: exit code {run.returncode}, and no {message!r} in the log.")
    say(f"heavy: exit code {run.returncode}, {message!r}")


def run_step(
    container: str, entry_point: Sequence[str], work_path: Path, name: str
) -> subprocess.CompletedProcess[str]:
    """Runs a step of BestExporter on the inputs `<work_path>/<name>.json`."""
    run = run_in(
        container,
        [
            *entry_point,
            "--executor_class_path",
            EXECUTOR,
            "--json_serialized_invocation_args",
            (work_path / f"{name}.json").read_text(),
            "--json_serialized_inputs_spec_args",
            (work_path / "inputs_spec.json").read_text(),
        ],
        is_checked=False,
    )
    (work_path / f"{name}.log").write_text(run.stdout)
    return run


def check_runs(container: str, entry_point: Sequence[str], work_path: Path) -> None:
    """Raises FailedError unless the steps export, do not export and fail as expected.

    Args:
        container: Container of the image.
        entry_point: Entry point of the image. The second step uses the one that a pipeline names.
        work_path: Directory of the inputs and outputs, on this machine.
    """
    for name, words, expected in (
        ("first", entry_point, "FIRST_EXPORT"),
        ("second", LEAN_ENTRY_POINT, "NOT_BETTER"),
    ):
        started = time.monotonic()
        run = run_step(container, words, work_path, name)
        if run.returncode:
            raise FailedError(f"{name}: exit code {run.returncode}\n{run.stdout[-3000:]}")
        metadata = json.loads((work_path / name / "executor_output.json").read_text())
        pushed_model = metadata["artifacts"]["pushed_model"]["artifacts"][0]["metadata"]
        decision_path = work_path / name / "decision" / "decision.json"
        reason = json.loads(decision_path.read_text())["reason"]
        if {reason, pushed_model["reason"]} != {expected}:
            raise FailedError(f"{name}: the reason must be {expected} (got {pushed_model}).")
        report_path = decision_path.with_name("report.html")
        if not report_path.is_file() or reason not in report_path.read_text():
            raise FailedError(f"{name}: {report_path} must be a report with the reason {reason}.")
        say(
            f"{name}: {words[-1]}, exit code 0, {reason}, pushed={pushed_model['pushed']:.0f},"
            f" {pushed_model['explanation']!r}, {time.monotonic() - started:.0f} s"
        )
    [version] = (path for path in (work_path / "serving").iterdir() if path.name.isdecimal())
    for path in (
        "saved_model.pb",
        "variables/variables.index",
        "assets.extra/best_exporter/record.json",
        "assets.extra/best_exporter/evaluation/eval_config.json",
    ):
        for directory in (version, work_path / "first" / "pushed_model"):
            if not (directory / path).is_file():
                raise FailedError(f"{directory / path} was not exported.")
    say(f"serving/{version.name} and pushed_model have the model, its record and its evaluation")
    run = run_step(container, entry_point, work_path, "broken")
    message = "ValueError: evaluation "
    if run.returncode == 0 or message not in run.stdout:
        raise FailedError(f"broken: exit code {run.returncode}, and no {message!r} in the log.")
    say(f"broken: exit code {run.returncode}, {message!r}")


@contextmanager
def container_of(image: str) -> Iterator[str]:
    """Yields the name of a container of an image, and removes the container afterwards."""
    container = buildah("from", "--pull-never", image)
    try:
        yield container
    finally:
        buildah("rm", container)


def run_in(
    container: str, command: Sequence[str], *, is_checked: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a command as the container's user, with its environment.

    The container mounts tests/, the lock and pyproject.toml read-only, and the work directory.

    Raises:
        FailedError: The command took too long, or its exit code is not 0 and `is_checked` is True.
    """
    volumes = [
        f"--volume={ROOT / name}:{CONTAINER_PATH / name}:ro"
        for name in ("tests", "requirements.lock", "pyproject.toml")
    ]
    run = completed(
        [
            *buildah_command("run"),
            "--isolation=chroot",
            *volumes,
            f"--volume={WORK_PATH}:{CONTAINER_PATH / 'work'}:rw",
            f"--workingdir={CONTAINER_PATH}",
            container,
            "--",
            *command,
        ],
        RUN_SECONDS,
    )
    if is_checked and run.returncode:
        raise FailedError(f"{' '.join(command)}: exit code {run.returncode}\n{run.stdout[-3000:]}")
    return run


def images() -> list[str]:
    """Returns the names of all images."""
    return re.findall(r"\S+", buildah("images", "--format", "{{.Name}}:{{.Tag}}"))


def buildah_command(command: str) -> list[str]:
    """Returns the words of a buildah command whose storage is below build/image."""
    return [
        "buildah",
        "--root",
        str(BUILD_PATH / "storage"),
        "--runroot",
        str(BUILD_PATH / "run"),
        "--storage-driver",
        "overlay",
        command,
    ]


def buildah(command: str, *arguments: str) -> str:
    """Returns the output of a buildah command without surrounding white space."""
    return output_of(*buildah_command(command), *arguments).strip()


def output_of(
    *command: str, seconds: float = RUN_SECONDS, env: dict[str, str] | None = None
) -> str:
    """Returns the standard output of a command.

    Raises:
        FailedError: The exit code of the command is not 0, or it took too long.
    """
    with tempfile.TemporaryFile("w+") as errors:
        run = completed(command, seconds, stderr=errors, env=env)
        errors.seek(0)
        if run.returncode:
            raise FailedError(
                f"{' '.join(command[:3])}: exit code {run.returncode}\n"
                f"{(run.stdout + errors.read())[-3000:]}"
            )
    return run.stdout


def completed(
    command: Sequence[str],
    seconds: float,
    *,
    stdout: int | IO[str] = subprocess.PIPE,
    stderr: int | IO[str] = subprocess.STDOUT,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end. Any exception kills the command and its child processes.

    Args:
        command: Words of the command.
        seconds: Time limit.
        stdout: Destination of its standard output; by default, the returned value.
        stderr: Destination of its standard error; by default, that of its standard output.
        env: Environment; None for that of this process.

    Raises:
        FailedError: The command took longer.
    """
    process = subprocess.Popen(
        command, stdout=stdout, stderr=stderr, env=env, text=True, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except BaseException as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise FailedError(
                f"{' '.join(command[:3])}: not finished after {seconds:g} seconds, killed"
            ) from error
        raise
    return subprocess.CompletedProcess(command, process.returncode, output or "")


def tree_size(root: Path) -> int:
    """Returns the total size in bytes of the files below a directory."""
    return sum(
        os.lstat(os.path.join(directory, name)).st_size
        for directory, _, names in os.walk(root)
        for name in names
    )


def say(line: str) -> None:
    """Prints a line and flushes the output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
