"""Fails unless a wheel has exactly the package files of the checkout."""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ("*.py", "*.pyi", "*.css", "*.jinja", "*.proto", "py.typed")


def expected_files() -> set[str]:
    """Returns the names that the files of the package have in a wheel."""
    return {"best_exporter.py"} | {
        f"tfx_best_exporter/{path.relative_to(ROOT).as_posix()}"
        for folder in ("cli", "component", "executor", "proto")
        for pattern in PATTERNS
        for path in (ROOT / folder).rglob(pattern)
    }


def problems(wheel_path: Path) -> list[str]:
    """Returns the problems of a wheel, one sentence for each."""
    with zipfile.ZipFile(wheel_path) as wheel:
        names = set(wheel.namelist())
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    files = names - metadata
    expected = expected_files()
    found = [f"{name} is missing." for name in sorted(expected - files)]
    found += [f"{name} must not be in the wheel." for name in sorted(files - expected)]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in metadata):
        found.append("The license is missing.")
    return found


def main() -> None:
    """Checks the wheel that the command line names."""
    (wheel_path,) = (Path(argument) for argument in sys.argv[1:])
    if found := problems(wheel_path):
        sys.exit("\n".join([f"{wheel_path.name}:", *found]))
    sys.stdout.write(f"{wheel_path.name} has all {len(expected_files())} files of the package.\n")


if __name__ == "__main__":
    main()
