import ast
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tfx_best_exporter.executor.version import VERSION
from tfx_best_exporter.proto import best_exporter_pb2

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomli.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
OURS = canonicalize_name(PROJECT["name"])
LOCK = (ROOT / "requirements.lock").read_text().splitlines()
DOCS_LOCK = (ROOT / "website" / "requirements.lock").read_text().splitlines()
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def environment(python: str) -> dict[str, str]:
    return {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "sys_platform": "linux",
        "extra": "",
    }


def applies(requirement: Requirement, env: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(env)


def locked_versions(python: str, lock: list[str] = LOCK) -> dict[str, list[str]]:
    env = environment(python)
    versions: dict[str, list[str]] = {}
    for requirement in map(Requirement, lock):
        if applies(requirement, env):
            (pin,) = requirement.specifier
            versions.setdefault(canonicalize_name(requirement.name), []).append(pin.version)
    return versions


def direct_dependencies() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    lines = PROJECT["dependencies"] + [line for extra in extras for line in extra]
    requirements = map(Requirement, lines)
    return [each for each in requirements if canonicalize_name(each.name) != OURS]


def installed_requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    env = environment("{}.{}".format(*sys.version_info))
    for requirement in map(Requirement, importlib.metadata.requires(name) or []):
        if any(applies(requirement, {**env, "extra": extra}) for extra in ("", *extras)):
            yield requirement


locks = pytest.mark.parametrize("lock", [LOCK, DOCS_LOCK], ids=["project", "docs"])


@locks
def test_lock_names_versions_and_nothing_else(lock: list[str]):
    pin = re.compile(r"[a-z0-9][a-z0-9.-]*(\[[a-z0-9,-]+\])?==[0-9][A-Za-z0-9.+!]*( ; [^:/@]+)?")
    assert [line for line in lock if not pin.fullmatch(line)] == []


@locks
def test_lock_is_for_any_index_and_machine(lock: list[str]):
    assert [line for line in lock if "://" in line or "--" in line or " @ " in line] == []


@locks
@pytest.mark.parametrize("python", PYTHONS)
def test_lock_pins_each_package_once(python: str, lock: list[str]):
    versions = locked_versions(python, lock)
    assert {name: pins for name, pins in versions.items() if len(pins) > 1} == {}


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_has_what_pyproject_asks_for(python: str):
    versions = locked_versions(python)
    unsatisfied = [
        str(requirement)
        for requirement in direct_dependencies()
        if applies(requirement, environment(python))
        and not requirement.specifier.contains(
            versions.get(canonicalize_name(requirement.name), ["0"])[0], prereleases=True
        )
    ]
    assert unsatisfied == []


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_of_the_docs_has_what_their_group_asks_for(python: str):
    versions = locked_versions(python, DOCS_LOCK)
    requirements = [Requirement(line) for line in PYPROJECT["dependency-groups"]["docs"]]
    assert len(requirements) == 3
    for requirement in requirements:
        [version] = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version)
    # A package of this project would bring TensorFlow.
    assert not {"tensorflow", "tfx", OURS} & versions.keys()


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_follows_the_overrides(python: str):
    versions = locked_versions(python)
    overrides = {
        requirement.name: [pin.version for pin in requirement.specifier]
        for requirement in map(Requirement, PYPROJECT["tool"]["uv"]["override-dependencies"])
        if applies(requirement, environment(python))
    }
    assert len(overrides) == 2
    assert {name: versions[name] for name in overrides} == overrides


@pytest.mark.parametrize("name", ["pip", "setuptools", "wheel"])
def test_lock_has_what_tfx_builds_user_modules_with(name: str):
    assert all(name in locked_versions(python) for python in PYTHONS)


def test_environment_has_what_each_package_asks_for():
    uv = PYPROJECT["tool"]["uv"]
    overridden = {Requirement(line).name for line in uv["override-dependencies"]}
    restated = {(each["name"], each["version"]) for each in uv["dependency-metadata"]}
    todo: list[tuple[str, frozenset[str]]] = [(OURS, frozenset({"dev"}))]
    seen: set[tuple[str, frozenset[str]]] = set()
    unsatisfied: list[str] = []
    while todo:
        name, extras = wanted = todo.pop()
        if wanted in seen or (name, importlib.metadata.version(name)) in restated:
            continue
        seen.add(wanted)
        for requirement in installed_requirements(name, extras):
            required = canonicalize_name(requirement.name)
            try:
                version = importlib.metadata.version(required)
            except importlib.metadata.PackageNotFoundError:
                version = "nothing"
            if version != "nothing" and (
                required in overridden or requirement.specifier.contains(version, prereleases=True)
            ):
                todo.append((required, frozenset(requirement.extras)))
            else:
                unsatisfied.append(f"{name} requires {requirement}, but {version} is installed")
    assert len(seen) > 100
    assert unsatisfied == []


@pytest.mark.parametrize("line", PROJECT["dependencies"])
def test_dependencies_are_ranges(line: str):
    requirement = Requirement(line)
    assert requirement.url is None
    assert ">=" in {pin.operator for pin in requirement.specifier}
    assert "==" not in {pin.operator for pin in requirement.specifier}


def test_generated_code_works_with_the_oldest_protobuf():
    generated = (ROOT / "proto" / "best_exporter_pb2.py").read_text()
    match = re.search(r"^# Protobuf Python Version: (\S+)$", generated, re.MULTILINE)
    assert match is not None
    (protobuf,) = (each for each in direct_dependencies() if each.name == "protobuf")
    (oldest,) = (pin.version for pin in protobuf.specifier if pin.operator == ">=")
    assert Version(match[1]) <= Version(oldest)


def test_proto_file_is_registered_by_its_import_path():
    assert best_exporter_pb2.DESCRIPTOR.name == "tfx_best_exporter/proto/best_exporter.proto"


def test_namespace_packages_have_no_init():
    folders = [ROOT, ROOT / "proto"]
    assert all(folder.is_dir() for folder in folders)
    assert [folder for folder in folders if (folder / "__init__.py").exists()] == []


def test_proto_is_proto_plus_with_the_root_on_the_path():
    assert str(ROOT) in sys.path
    spec = importlib.util.find_spec("proto")
    assert spec is not None
    assert spec.origin is not None
    assert ROOT / "proto" not in Path(spec.origin).parents
    assert importlib.util.find_spec("proto.marshal") is not None


def test_the_name_of_the_artifact_type_brings_the_artifact_type_only():
    assert PYPROJECT["tool"]["setuptools"]["py-modules"] == ["best_exporter"]
    tree = ast.parse((ROOT / "best_exporter.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(node) for node in imports] == [
        "from tfx_best_exporter.component.artifacts import ExportDecision"
    ]


def test_every_package_is_mapped():
    setuptools: dict[str, Any] = PYPROJECT["tool"]["setuptools"]
    folders = [
        path.parent.relative_to(ROOT)
        for top in ("cli", "component", "executor")
        for path in (ROOT / top).rglob("__init__.py")
    ]
    assert Path("component") in folders
    mapping = {".".join(["tfx_best_exporter", *each.parts]): str(each) for each in folders}
    mapping["tfx_best_exporter.proto"] = "proto"
    assert setuptools["package-dir"] == mapping
    assert sorted(setuptools["packages"]) == sorted(mapping)


@pytest.mark.parametrize("folder", ["cli", "component", "executor", "proto"])
def test_types_are_public(folder: str):
    assert (ROOT / folder / "py.typed").exists()


@pytest.mark.parametrize("module", ["component", "executor.exporter"])
def test_users_find_the_version(module: str):
    found = importlib.import_module(f"tfx_best_exporter.{module}").__version__
    assert found == VERSION == importlib.metadata.version(OURS)


def test_the_image_gets_each_file_that_the_dockerfile_copies():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    admitted = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copies = [
        line.split()[1:-1]
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and not line.startswith("COPY --from=")
    ]
    sources = {source.split("/")[0] for sources in copies for source in sources}
    assert sources == admitted
