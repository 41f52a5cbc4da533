"""The process that tries mutants: libraries are loaded once, then a fork tries each one.

Run as `python -m verification.mutant_runner job.json`. Each fork sees a copy of the packages in
which one file is replaced, and reports whether the tests noticed. The original comes first (it
must pass), the sentinel second (it must die).
"""

import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

__all__ = ["main"]

_PRELOAD: Final = (
    "numpy", "pydicom", "PIL.Image", "click", "hypothesis", "pytest", "pytest_cov", "xdist",
    "onnxruntime", "imagecodecs",
)  # fmt: skip
"""Loaded before the forks, where installed: they take most of the time of a start."""

_WRONG_FILE: Final = 97
_PASSED: Final = 0
_FAILED: Final = (1, 2)
"""pytest: tests failed, or a module could not be collected."""

_FLOOR: Final = 20.0
"""Seconds; a mutant gets this long at least, and ten times what the original took."""


def _child(job: dict[str, Any], shadow: Path, source: str) -> int:
    """Run the tests over one source; never returns to the caller's stack."""
    import pytest  # noqa: PLC0415  # loaded in the parent

    (shadow / job["module"]).write_text(source, "utf-8")
    scratch = shadow / "scratch"
    scratch.mkdir(exist_ok=True)
    os.environ["PYTHONPATH"] = f"{shadow}{os.pathsep}{job['root']}"
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(scratch / "hypothesis")
    sys.path[:0] = [str(shadow), job["root"]]
    os.chdir(job["root"])
    options = ["-x", "-q", "-p", "no:cacheprovider", f"--evidence={scratch}/evidence.json"]
    with contextlib.suppress(ImportError):
        importlib.import_module("hypothesis")
        options.append("--hypothesis-seed=0")
    code = int(pytest.main([*options, f"--rootdir={job['root']}", *job["tests"]]))
    module = job["module"].removesuffix(".py").replace("/", ".")
    loaded = sys.modules.get(module)
    if loaded is not None and not str(loaded.__file__).startswith(str(shadow)):
        return _WRONG_FILE
    if loaded is None and code == _PASSED:
        return _WRONG_FILE
    return code


def _wait(child: int, seconds: float) -> int | None:
    """Exit code of a child, or None when its time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _word(code: int | None) -> str:
    """Outcome of a mutant in one word."""
    if code is None:
        return "timeout"
    if code == _PASSED:
        return "survived"
    if code in _FAILED or code < 0:
        return "killed"
    return "the imported file is not the mutated one" if code == _WRONG_FILE else f"pytest {code}"


def _packages(root: Path, shadow: Path, module: str) -> None:
    """Copy the package of the module; its large files are linked, not copied."""
    name = module.split("/", 1)[0]
    for path in sorted((root / name).rglob("*")):
        target = shadow / path.relative_to(root)
        if "__pycache__" in path.parts:
            continue
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif path.suffix == ".py" or path.stat().st_size < 1 << 16:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)


def main(order: Path) -> None:
    """Try every source of a job and write the outcomes beside it."""
    job = json.loads(order.read_text("utf-8"))
    sys.dont_write_bytecode = True
    for name in _PRELOAD:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.path[:] = [entry for entry in sys.path if entry not in {"", job["root"]}]
    results: list[str] = []
    allowed = 600.0
    with tempfile.TemporaryDirectory() as scratch:
        shadow = Path(scratch)
        _packages(Path(job["root"]), shadow, job["module"])
        for source in job["sources"]:
            began = time.monotonic()
            child = os.fork()
            if child == 0:
                os.setsid()
                quiet = os.open(order.with_name("child.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(quiet, 1)
                os.dup2(quiet, 2)
                code = _WRONG_FILE + 1
                try:
                    code = _child(job, shadow, source)
                finally:
                    os._exit(code)
            results.append(_word(_wait(child, allowed)))
            if len(results) == 1:
                allowed = max(_FLOOR, 10 * (time.monotonic() - began))
                if results[0] != "survived":
                    log = order.with_name("child.log").read_text("utf-8", "replace")
                    sys.stderr.write(log[-3000:])
                    raise SystemExit(1)
    order.with_name("answer.json").write_text(json.dumps(results), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
