"""Installs the pinned MLflow into a virtual environment, once, and prints its Python.

The environment lies at DIR/mlflow-<hash of requirements and Python version>. It counts
only with the marker that is written last, so a broken installation is made anew; a lock
keeps two installations apart.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

OLDEST = (3, 11)
HERE = pathlib.Path(__file__).resolve().parent


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    say("start_mlflow: " + text)
    sys.exit(1)


def main():
    cache = pathlib.Path(sys.argv[1]).resolve()
    if sys.version_info < OLDEST:
        fail(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old, MLflow's pinned packages need "
            f"{OLDEST[0]}.{OLDEST[1]} or later: install one and put it first on PATH as python3."
        )
    requirements = HERE / "requirements.txt"
    version = "%d.%d" % sys.version_info[:2]
    digest = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:12]
    home = cache / f"mlflow-{digest}"
    python = home / "bin" / "python"
    marker = home / "complete"
    if not usable(python, marker):
        try:
            cache.mkdir(parents=True, exist_ok=True)
            lock = open(cache / f"mlflow-{digest}.lock", "w")
        except OSError as e:
            fail(f"cannot write to the cache folder {cache}: {e.strerror}. Choose another with COMMENTATOR_CACHE.")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not usable(python, marker):  # perhaps the one before us has made it
                install(home, python, requirements)
                marker.write_text("")
    print(python)


def usable(python, marker):
    return marker.exists() and os.access(python, os.X_OK)


def install(home, python, requirements):
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError:
        fail(
            "this Python has no venv module with pip. On Debian and Ubuntu: apt install python3-venv; "
            "elsewhere install a complete Python."
        )
    say(f"Installing MLflow into {home}, once; this takes a minute or two …")
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    # Python compiles what it imports at the first start; pip would compile everything, which
    # takes longer than the rest of the installation.
    pip = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([*pip, "--requirement", requirements], stdout=sys.stderr)
    if done.returncode != 0:
        fail("pip could not install MLflow (its message is above). Is the package index reachable?")


if __name__ == "__main__":
    main()
