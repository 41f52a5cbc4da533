"""The process that tries mutants: libraries are loaded once, then a fork tries each one.

Run as `python -m verification.mutant_runner job.json`. Each fork sees a copy of the packages in
which one file is replaced, and reports whether the tests noticed. The original comes first (it
must pass), the sentinel second (it must die).
"""

import contextlib
import importlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Final

__all__ = ["main"]

_PRELOAD: Final = (
    "numpy", "pydicom", "pydicom.encaps", "pydicom.pixels", "PIL.Image", "click", "pytest",
    "hypothesis.strategies", "hypothesis.extra.numpy", "imagecodecs", "onnxruntime", "asyncio",
    "_hypothesis_pytestplugin", "verification.plugin",
)  # fmt: skip
"""Loaded before the forks, where installed: they take most of the time of a start."""

_WRONG_FILE: Final = 97
_PASSED: Final = 0
_FAILED: Final = (1, 2, 4)
"""pytest: tests failed, or a module could not be collected (4: so a named test was not found; the
original, which comes first, shows that the names are right)."""

_FLOOR: Final = 60.0
"""Seconds; a mutant gets this long at least, and ten times what the original took."""


def _child(job: dict[str, Any], shadow: Path, source: str) -> int:
    """Run the tests over one source; never returns to the caller's stack."""
    import pytest  # noqa: PLC0415  # loaded in the parent

    (shadow / job["module"]).write_text(source, "utf-8")
    scratch = shadow / "scratch"
    scratch.mkdir(exist_ok=True)
    os.environ["PYTHONPATH"] = f"{shadow}{os.pathsep}{job['root']}"
    os.environ["PYTHONSAFEPATH"] = "1"  # a test's own subprocess must not import from the checkout
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(scratch / "hypothesis")
    sys.path[:0] = [str(shadow), job["root"]]
    os.chdir(job["root"])
    options = ["-x", "-q", "--assert=plain", "--evidence=", f"--rootdir={job['root']}"]
    for idle in ("cacheprovider", "unraisableexception", "threadexception", "faulthandler"):
        options += ["-p", f"no:{idle}"]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the project's own plugins are enough
    if importlib.util.find_spec("hypothesis"):
        options += ["-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0"]
    code = _PASSED
    for tests in _by_file(job["tests"]):
        code = int(pytest.main([*options, *tests]))
        if code != _PASSED:
            break
    module = job["module"].removesuffix(".py").replace("/", ".")
    loaded = sys.modules.get(module)
    if loaded is not None and not str(loaded.__file__).startswith(str(shadow)):
        return _WRONG_FILE
    if loaded is None and code == _PASSED:
        return _WRONG_FILE
    return code


def _pytest_plugins() -> list[str]:
    """Modules that every pytest session loads."""
    from _pytest.config import default_plugins  # noqa: PLC0415  # only where mutants are tried

    return [f"_pytest.{name}" for name in default_plugins]


def _by_file(tests: list[str]) -> list[list[str]]:
    """Group tests by their file, in order: where one file notices, no other is loaded."""
    groups: dict[str, list[str]] = {}
    for test in tests:
        groups.setdefault(test.split("::")[0], []).append(test)
    return list(groups.values())


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


def main(order: Path) -> None:
    """Try every source of a job and write the outcomes beside it."""
    job = json.loads(order.read_text("utf-8"))
    for name in (*_PRELOAD, *_pytest_plugins()):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.path[:] = [entry for entry in sys.path if entry not in {"", job["root"]}]
    results: list[str] = []
    allowed = 600.0
    with tempfile.TemporaryDirectory() as scratch:
        shadow = Path(scratch)
        name = job["module"].split("/", 1)[0]
        package = Path(job["root"]) / name  # whole: a runtime follows no link out of its folder
        shutil.copytree(package, shadow / name, ignore=shutil.ignore_patterns("__pycache__"))
        sys.dont_write_bytecode, sys.pycache_prefix = False, str(shadow / "bytecode")
        stale = Path(importlib.util.cache_from_source(str(shadow / job["module"])))
        for source in job["sources"]:
            stale.unlink(missing_ok=True)  # a mutant may have the size and the second of another
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
                except BaseException:  # noqa: BLE001  # said in the log, then the process ends
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)
            results.append(_word(_wait(child, allowed)))
            order.with_name("answer.json").write_text(json.dumps(results), "utf-8")
            if len(results) == 1:
                allowed = max(_FLOOR, 10 * (time.monotonic() - began))
                if results[0] != "survived":
                    log = order.with_name("child.log").read_text("utf-8", "replace")
                    sys.stderr.write(log[-3000:])
                    raise SystemExit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
