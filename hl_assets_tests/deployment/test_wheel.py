"""The wheel: what is in it, that it runs where no checkout is, and the image's steps in a clean virtual environment."""

import email
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hl_assets
from hl_assets_tests.conftest import REPOSITORY, bare_environment
from hl_assets_tests.deployment import dockerfile

SMALL = {"SANDBOX_WALLETS": "200", "TOP_N_WALLETS": "20"}


def copy_for_building(folder: Path) -> None:
    """The files that the image's first stage builds from, so that building leaves nothing in the checkout."""
    for word, rest in dockerfile.instructions():
        if word == "COPY" and "--from" not in rest:
            *names, target = rest.split()
            for name in names if not target.startswith("/") else []:
                source = REPOSITORY / name
                if source.is_dir():
                    shutil.copytree(
                        source, folder / Path(target).name, ignore=shutil.ignore_patterns("__pycache__")
                    )
                else:
                    shutil.copy(source, folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without network by the setuptools that is installed."""
    folder = tmp_path_factory.mktemp("build")
    copy_for_building(folder)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        "dist",
        ".",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (folder / "dist").glob("*.whl")
    return built


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_version_is_in_one_place(wheel: Path) -> None:
    assert wheel.name == f"hl_assets-{hl_assets.__version__}-py3-none-any.whl"
    written = [
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "hl_assets").rglob("*.py")
        if re.search(r"^(__version__|VERSION)\s*=\s*[\"']", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert written == ["hl_assets/__init__.py"]


def test_the_changelog_begins_with_this_version() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(
        r"^## \[(?P<version>[^]]+)] - (?P<date>unreleased|\d{4}-\d{2}-\d{2})$", text, re.MULTILINE
    )
    assert newest is not None
    assert newest["version"] == hl_assets.__version__
    notes = (REPOSITORY / "docs" / "upgrading.md").read_text(encoding="utf-8")
    assert f"### {hl_assets.__version__}\n" in notes


def test_it_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    package = REPOSITORY / "hl_assets"
    wanted = {
        str(path.relative_to(REPOSITORY))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in files_of(wheel) if ".dist-info/" not in name}
    assert packed == wanted


def test_its_metadata_say_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"hl_assets-{hl_assets.__version__}.dist-info"
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        entries = archive.read(f"{info}/entry_points.txt").decode()
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra") or ()) == {"dev", "kubernetes", "postgres"}
    assert metadata.get_payload().lstrip().startswith("# hl_assets"), "the README is the description"
    assert "hl-assets = hl_assets.cli:main" in entries


@pytest.mark.slow
def test_it_runs_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """The wheel's own files, with the libraries that are installed here."""
    unpacked, empty = tmp_path / "unpacked", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    environment = bare_environment(**SMALL) | {"PYTHONPATH": str(unpacked)}
    where = "import hl_assets; print(hl_assets.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert Path(found.stdout.strip()).is_relative_to(unpacked)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "hl_assets.cli", "run"],
            cwd=empty, env=environment, capture_output=True, text=True, check=False, timeout=170,
        )  # fmt: skip
    finally:
        stop_warehouse([sys.executable, "-m", "hl_assets.cli"], empty, environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "materialised in" in ran.stdout


def stop_warehouse(program: list[str], folder: Path, environment: dict[str, str]) -> None:
    subprocess.run(
        [*program, "warehouse", "stop"],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=True,
        timeout=60,
    )


@pytest.mark.soak
@pytest.mark.timeout(2_400)
def test_the_images_steps_in_a_clean_environment(tmp_path: Path) -> None:
    """Every `RUN` of the first stage, then the commands of the image; needs a package index."""
    build = tmp_path / "build"
    build.mkdir()
    copy_for_building(build)
    python = Path(sys.base_prefix) / "bin"
    environment = {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HOME"))
    }
    environment["PATH"] = f"{python}{os.pathsep}/usr/bin{os.pathsep}/bin"
    places = {"/opt/venv": str(tmp_path / "venv"), "/opt/build": str(tmp_path / "tools")}
    words = dockerfile.instructions()
    first_stage = words[: [word for word, _ in words].index("USER")]
    steps = [rest for word, rest in first_stage if word == "RUN" and "useradd" not in rest]
    assert len(steps) == 4
    for step in steps:
        local = re.sub("|".join(places), lambda match: places[match[0]], step)
        done = subprocess.run(
            ["sh", "-c", local], cwd=build, env=environment, capture_output=True, text=True, check=False
        )
        if "Could not find a version" in done.stderr or "NewConnectionError" in done.stderr:
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, done.stdout + done.stderr

    empty = tmp_path / "empty"
    empty.mkdir()
    installed = {
        "PATH": f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{environment['PATH']}",
        "HOME": str(empty),
        **SMALL,
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=empty, env=installed, capture_output=True, text=True, check=False, timeout=300
        )

    assert run("sh", "-c", "command -v hl-assets").stdout.startswith(str(tmp_path / "venv"))
    assert run("hl-assets", "version").stdout == f"hl_assets {hl_assets.__version__}\n"
    assert run("pip", "check").returncode == 0
    try:
        ran = run("hl-assets", "run")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "materialised in" in ran.stdout
        assert run("hl-assets", "migrate", "--dry-run").stdout.strip().endswith("is up to date")
        for module in ("dagster_postgres", "dagster_k8s", "psycopg2"):
            assert run("python", "-c", f"import {module}").returncode == 0, "the image's extras"
        assert run("dagster", "definitions", "validate", "-m", "hl_assets.definitions").returncode == 0
    finally:
        run("hl-assets", "warehouse", "stop")
