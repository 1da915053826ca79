"""Installs a pinned MLflow into a virtual environment, once, and prints its Python.

  install.py DIR [VERSION]

VERSION is one of those in versions.txt; without it, or with an empty one, MLflow is the one
of requirements.txt. Several versions lie side by side: the environment is
DIR/mlflow-<version>-<hash of requirements and Python version>. It counts only with the
marker that is written last, so a broken installation is made anew; a lock keeps two
installations apart. uv, if it is on PATH, is used in place of pip: it is ten times faster.

Its modules are compiled then, once. Where PYTHONDONTWRITEBYTECODE is set, as in many
containers, each process of the server would else compile what it imports at each start, which
takes two thirds of the time until it answers.
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
    requirements = wanted(sys.argv[2] if len(sys.argv) > 2 else "")
    version = next(r for r in requirements if r.startswith("mlflow==")).removeprefix("mlflow==")
    text = "\n".join([*requirements, "%d.%d" % sys.version_info[:2]])
    name = f"mlflow-{version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    home = cache / name
    python = home / "bin" / "python"
    marker = home / "complete"
    compiled = home / "compiled"
    if not usable(python, marker) or not compiled.exists():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            lock = open(cache / f"{name}.lock", "w")
        except OSError as e:
            if usable(python, marker):  # somebody else's folder, not compiled
                print(python)
                return
            fail(f"cannot write to the cache folder {cache}: {e.strerror}. Choose another with COMMENTATOR_CACHE.")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not usable(python, marker):  # perhaps the one before us has made it
                install(home, python, requirements)
                marker.write_text("")
            if not compiled.exists():
                compile_all(home, python)
                compiled.write_text("")
    print(python)


def wanted(version):
    """The requirements of a version: the lines of a file of its own, or of versions.txt."""
    default = lines(HERE / "requirements.txt")
    if not version or f"mlflow=={version}" in default:
        return default
    known = {v: rest for v, *rest in (line.split() for line in lines(HERE / "versions.txt"))}
    if version not in known:
        pinned = next(r for r in default if r.startswith("mlflow==")).removeprefix("mlflow==")
        fail(
            f"MLFLOW_VERSION is {version!r}; there are {pinned} (the default), {', '.join(known)}. "
            "A line in scripts/mlflow/versions.txt adds another."
        )
    extras = [r for r in default if r.split("==")[0] in ("Flask-WTF", "psycopg2-binary")]
    return [f"mlflow=={version}", *extras, *known[version]]


def lines(path):
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


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
    uv = shutil.which("uv")
    venv.create(home, with_pip=not uv)
    listed = home / "requirements.txt"
    listed.write_text("\n".join(requirements) + "\n")
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        # pip would compile on one processor.
        command = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([*command, "--requirement", listed], stdout=sys.stderr)
    if done.returncode != 0:
        fail("MLflow could not be installed (the message is above). Is the package index reachable?")


def compile_all(home, python):
    """What does not compile, such as a template or a test of a package, does not matter."""
    packages = next(home.glob("lib/python*/site-packages"))
    subprocess.run([python, "-m", "compileall", "-qq", "-j", "0", packages])


if __name__ == "__main__":
    main()
