"""Builds the Dockerfile without a container engine, and runs what it builds on real input.

Buildah, from Debian's packages, carries out the Dockerfile as it is. Its base image is not fetched
but made here, with debootstrap, from the same release of Debian. That base differs from the
official image `python:3.13-slim-trixie` in this:

- Python is Debian's own 3.13, below /usr, not one built from source below /usr/local. The names
  python, python3 and python3.13 lie in /usr/local/bin all the same.
- pip is there in virtual environments only. The Dockerfile makes one.
- Of Debian's packages it has those of `debootstrap --variant=minbase`, and what Python needs.

Everything that is made lies below build/image: 10 GiB while it builds, 4 afterwards. A second run
takes the base from there. It needs to be root: debootstrap and chroot do.
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

TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap"}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# How a step of a pipeline is run; TFX puts an entry point before it, the image's or the pipeline's.
EXECUTOR = "tfx_best_exporter.executor.executor.Executor"
LEAN_ENTRY_POINT = ["python", "-m", "tfx_best_exporter.executor.container"]

NEEDED_GIB = 12

# Generous: they are there so that nothing hangs for ever.
APT_SECONDS = 900
DEBOOTSTRAP_SECONDS = 1200
BUILD_SECONDS = 2400
RUN_SECONDS = 600


class CannotRunError(Exception):
    """This machine cannot build the image."""


class FailedError(Exception):
    """The image is not what it should be."""


def main() -> None:
    """Runs the proof, and exits with 1 if it fails or cannot be run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--if-possible",
        action="store_true",
        help="say so, and succeed, where the machine cannot build images",
    )
    arguments = parser.parse_args()
    # What this has started ends with it.
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
    """Installs what is missing, and tries whether images can be built.

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
            f"{NEEDED_GIB} GiB must be free below build/ (got {free:.1f}). Make room there."
        )
    if not shutil.which("apt-get"):
        raise CannotRunError(
            "apt-get must be there (found none). Run it on Debian, or build with Docker."
        )
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing:
        say(f"installing {' and '.join(missing)}")
        apt_get("update", "-qq")
        apt_get("install", "-qq", "--no-install-recommends", *missing)
    if not mirror():
        apt_get("update", "-qq")
        if not mirror():
            raise CannotRunError(
                "apt must know a mirror of Debian (got none)."
                " Run it on Debian, or build with Docker."
            )
    try:
        container = buildah("from", "scratch")
        try:
            buildah("mount", container)
        finally:
            buildah("rm", container)
    except FailedError as error:
        raise CannotRunError(f"buildah must be able to mount a container. {error}") from error


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
        raise CannotRunError(
            f"apt-get {' '.join(arguments)} must succeed (got {run.stdout.strip()[-300:]!r})."
        )


def prove() -> None:
    """Builds and checks.

    Raises:
        FailedError: Something is not as it should be.
    """
    started = time.monotonic()
    build()
    config = json.loads(buildah("inspect", "--type", "image", IMAGE))["OCIv1"]["config"]
    check_config(config)
    shutil.rmtree(WORK_PATH, ignore_errors=True)
    WORK_PATH.mkdir()
    with container_of(IMAGE) as container, container_of(BASE_IMAGE) as base:
        check_files(Path(buildah("mount", container)), Path(buildah("mount", base)))
        user = run_in(container, ["id", "-u"]).stdout.strip()
        if user == "0":
            raise FailedError("The image must not run as root.")
        say(f"runs as user {user}")
        os.chown(WORK_PATH, int(user), int(user))
        say(run_in(container, ["python", "-m", "tests.image.contents"]).stdout.rstrip())
        say("writing two models and a TFMA evaluation, in the image")
        run_in(container, ["python", "-m", "tests.image.inputs", str(CONTAINER_PATH / "work")])
        check_runs(container, config["Entrypoint"])
    say(f"test-image: passed, in {time.monotonic() - started:.0f} s")


def make_base() -> None:
    """Makes the base image. See the module's docstring for how it differs from the official one."""
    source = mirror()
    assert source
    say(f"making {BASE_IMAGE} with debootstrap from {RELEASE}")
    with tempfile.TemporaryDirectory(dir=BUILD_PATH) as directory:
        root = Path(directory) / "root"
        root.mkdir(mode=0o755)
        packages = f"{PYTHON}-venv,ca-certificates"
        # Its scripts for releases newer than itself are links to the one for unstable.
        output_of(
            "debootstrap",
            "--variant=minbase",
            f"--include={packages}",
            RELEASE,
            str(root),
            source,
            seconds=DEBOOTSTRAP_SECONDS,
        )
        # The official image has Python's headers, and no compiler.
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
    """Returns where this machine gets Debian's packages from; None if it gets none."""
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


def build() -> None:
    """Carries out the Dockerfile. What pip needs on this machine is there only while it runs."""
    say("building the Dockerfile with buildah")
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
            f"--tag={IMAGE}",
            str(ROOT),
        ]
        log_path = BUILD_PATH / "build.log"
        with log_path.open("w") as log:
            if completed(command, BUILD_SECONDS, stdout=log).returncode:
                end = "\n".join(log_path.read_text().splitlines()[-30:])
                raise FailedError(f"buildah could not build the Dockerfile:\n{end}")


def pip_config() -> str:
    """Returns this machine's options of pip, as a pip.conf.

    Those that name a path are left out: there is no such path in a container.
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
    """Returns the option that shows a container which certificates this machine trusts."""
    return [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.exists() else []


def check_config(config: dict[str, Any]) -> None:
    """Raises FailedError unless the image runs TFX's entry point, and says what it is."""
    entry_point = [
        "python",
        "-m",
        "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
    ]
    if config.get("Entrypoint") != entry_point:
        raise FailedError(f"ENTRYPOINT must be TFX's own (got {config.get('Entrypoint')}).")
    if "org.opencontainers.image.title" not in config.get("Labels", {}):
        raise FailedError(f"The image must be labelled (got {config.get('Labels')}).")


def check_files(root: Path, base: Path) -> None:
    """Raises FailedError if something of the build was left in the image.

    Args:
        root: Its files.
        base: Those of its base image.
    """
    packages = "var/lib/dpkg/status"
    if (root / packages).read_bytes() != (base / packages).read_bytes():
        raise FailedError("The image must have the base's Debian packages (got others).")
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
        raise FailedError(f"The image must hold nothing of its build (got {names}).")
    sizes = {name: tree_size(path) / 2**20 for name, path in (("all", root), ("base", base))}
    say(
        f"image: {sizes['all']:,.0f} MiB of files, {sizes['base']:,.0f} of them in its base;"
        " no cache and no Debian package beside the base's"
    )


def check_runs(container: str, entry_point: Sequence[str]) -> None:
    """Raises FailedError unless both entry points export, refuse and fail as they should.

    Args:
        container: Of the image.
        entry_point: The image's own. The second run has the one that a pipeline names.
    """
    spec = (WORK_PATH / "inputs_spec.json").read_text()

    def step(name: str, entry_point: Sequence[str]) -> subprocess.CompletedProcess[str]:
        run = run_in(
            container,
            [
                *entry_point,
                "--executor_class_path",
                EXECUTOR,
                "--json_serialized_invocation_args",
                (WORK_PATH / f"{name}.json").read_text(),
                "--json_serialized_inputs_spec_args",
                spec,
            ],
            is_checked=False,
        )
        (WORK_PATH / f"{name}.log").write_text(run.stdout)
        return run

    for name, words, expected in (
        ("first", entry_point, "FIRST_EXPORT"),
        ("second", LEAN_ENTRY_POINT, "NOT_BETTER"),
    ):
        started = time.monotonic()
        run = step(name, words)
        if run.returncode:
            raise FailedError(f"{name}: exit code {run.returncode}\n{run.stdout[-3000:]}")
        metadata = json.loads((WORK_PATH / name / "executor_output.json").read_text())
        pushed_model = metadata["artifacts"]["pushed_model"]["artifacts"][0]["metadata"]
        decision_path = WORK_PATH / name / "decision" / "decision.json"
        reason = json.loads(decision_path.read_text())["reason"]
        if {reason, pushed_model["reason"]} != {expected}:
            raise FailedError(f"{name}: the reason must be {expected} (got {pushed_model}).")
        report_path = decision_path.with_name("report.html")
        if not report_path.is_file() or reason not in report_path.read_text():
            raise FailedError(f"{name}: {report_path} must be a page that says {reason}.")
        say(
            f"{name}: {words[-1]}, exit code 0, {reason}, pushed={pushed_model['pushed']:.0f},"
            f" {pushed_model['explanation']!r}, {time.monotonic() - started:.0f} s"
        )
    [version] = (path for path in (WORK_PATH / "serving").iterdir() if path.name.isdecimal())
    for path in (
        "saved_model.pb",
        "variables/variables.index",
        "assets.extra/best_exporter/record.json",
        "assets.extra/best_exporter/evaluation/eval_config.json",
    ):
        for directory in (version, WORK_PATH / "first" / "pushed_model"):
            if not (directory / path).is_file():
                raise FailedError(f"{directory / path} must have been exported.")
    say(f"serving/{version.name} and pushed_model hold the model, its record and its evaluation")
    run = step("broken", entry_point)
    message = "evaluation must be a TFMA evaluation"
    if run.returncode == 0 or message not in run.stdout:
        raise FailedError(f"broken: exit code {run.returncode}, without {message!r} in its log.")
    say(f"broken: exit code {run.returncode}, {message!r}")


@contextmanager
def container_of(image: str) -> Iterator[str]:
    """Yields the name of a container of an image, which is removed afterwards."""
    container = buildah("from", "--pull-never", image)
    try:
        yield container
    finally:
        buildah("rm", container)


def run_in(
    container: str, command: Sequence[str], *, is_checked: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a command as the container's own user, in its own environment.

    It sees tests/, the lock and pyproject.toml, read-only, and the work directory.

    Raises:
        FailedError: Its exit code is not 0, and is_checked; or it took too long.
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
    """Returns the names of the images that there are."""
    return re.findall(r"\S+", buildah("images", "--format", "{{.Name}}:{{.Tag}}"))


def buildah_command(command: str) -> list[str]:
    """Returns a command of buildah's, with its storage below build/image."""
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
    """Returns what buildah prints, without white space around it."""
    return output_of(*buildah_command(command), *arguments).strip()


def output_of(
    *command: str, seconds: float = RUN_SECONDS, env: dict[str, str] | None = None
) -> str:
    """Returns what a command prints to stdout.

    Raises:
        FailedError: Its exit code is not 0, or it took too long.
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
    """Runs a command to its end; whatever ends this sooner ends it, and what it has started.

    Args:
        command: Its words.
        seconds: How long it may take.
        stdout: Where it writes to: by default, to what is returned.
        stderr: The same; by default, where it writes its stdout to.
        env: Its environment; None for this process's own.

    Raises:
        FailedError: It took longer.
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
                f"{' '.join(command[:3])}: killed after {seconds:g} seconds"
            ) from error
        raise
    return subprocess.CompletedProcess(command, process.returncode, output or "")


def tree_size(root: Path) -> int:
    """Returns the bytes of the files below a directory."""
    return sum(
        os.lstat(os.path.join(directory, name)).st_size
        for directory, _, names in os.walk(root)
        for name in names
    )


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
