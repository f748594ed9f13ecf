#!/usr/bin/env python3
"""Sets this repository up and runs its tasks: `python3 dev.py TARGET [ARGUMENT ...]`.

Standard library only, and readable by every Python 3, so that an old one can say what it
lacks. Arguments after the target go to the program it runs: `python3 dev.py test -k replies`.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
SUPPORTED = ((3, 11), (3, 12), (3, 13))
ROOMS = ("schemas", "telemetry", "ingress", "dispatcher", "cli")
LOOPBACK = "127.0.0.1,localhost,::1"
SHARED = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")  # three, as tests mostly wait
HEADRACE, PYTEST = ("-m", "headrace.cli.main"), ("-m", "pytest")

# Each lock is complete in itself; a row says which extras it locks.
LOCKS = {
    "requirements-dev.lock": ("local", "dev"),
    "requirements.lock": ("local",),
    "requirements-base.lock": (),  # what the container image installs
    "requirements-model.lock": ("local", "dev", "model"),
}
BUILD_LOCK = "requirements-build.lock"  # uv and setuptools, to install the rest with
COMPILE = "--generate-hashes --universal --python-version 3.11 --no-header --no-annotate --quiet"

DEMO = "watch 600 requests survive a failing upstream and a killed dispatcher"
TEST = "run the tests, on a real Kafka; -m smoke: twelve faults"
TEST_MODEL = "run the tests against a real llama.cpp server with a real model (250 MB, once)"
BENCH = "measure against the bare loop; table, JSON and SVG in benchmarks/results"
HISTORY = "send mixed traffic to a whole installation, and judge what came of it"
CHECK_HISTORY = "judge what a run has left in a folder, promise by promise"
MUTANTS = "break the product in twelve ways; the checker must see each"
SIMULATE = "run the fleet on virtual time, 500 seeds; --seed N runs one again"
FAULTS = "inject faults into real processes; --only F18,F19, --smoke"


def check(arguments):
    """lint, format, import rules, types, tests (--no-tests leaves the tests out)"""
    install("requirements-dev.lock")
    run("-m", "ruff", "check", ".")
    run("-m", "ruff", "format", "--check", ".")
    run("-c", "from importlinter.cli import lint_imports_command as lint; lint()")
    run("-m", "mypy")
    if "--no-tests" not in arguments:
        replace_by((*PYTEST, *SHARED), *arguments)


def lock(_arguments):
    """resolve all dependencies anew and rewrite the lock files"""
    install("requirements-dev.lock")
    compiler = ["-m", "uv", "pip", "compile", *COMPILE.split()]
    constraint = []
    for name, extras in LOCKS.items():
        chosen = [part for extra in extras for part in ("--extra", extra)]
        run(*compiler, "pyproject.toml", *chosen, *constraint, "--upgrade", "-o", name)
        constraint = ["-c", "requirements-dev.lock"]  # one version of each in all locks
    run(*compiler, "requirements-build.in", "--upgrade", "-o", BUILD_LOCK)
    run("-m", "headrace.cli.localkafka.jarlock")


def clean(_arguments):
    """delete the environment and every cache inside this folder"""
    caches = [".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache"]
    for name in [*caches, ".venv", ".typing/headrace", "build", "dist", "headrace.egg-info"]:
        shutil.rmtree(os.path.join(ROOT, name), ignore_errors=True)


def program(lock_name, command, what):
    """A target that becomes a program of the environment; `what` is its line of help."""

    def target(arguments):
        install(lock_name)
        os.environ["PYTHONPATH"] = os.path.join(ROOT, "tests")
        replace_by(command, *arguments)

    target.__doc__ = what
    return target


USERS, OURS = "requirements.lock", "requirements-dev.lock"
TARGETS = {
    "demo": program(USERS, (*HEADRACE, "demo"), DEMO),
    "up": program(USERS, (*HEADRACE, "up"), "run all of it here until Ctrl-C"),
    "test": program(OURS, (*PYTEST, *SHARED), TEST),
    "test-model": program("requirements-model.lock", (*PYTEST, "-m", "model"), TEST_MODEL),
    "check": check,
    "bench": program(OURS, ("-m", "benchmarks"), BENCH),
    "bench-governor": program(OURS, ("-m", "benchmarks.governor"), "limits under five-fold load"),
    "bench-index": program(OURS, ("-m", "benchmarks.index"), "the index of ten million requests"),
    "bench-keys": program(OURS, ("-m", "benchmarks.keys"), "what an idempotency key adds"),
    "bench-priority": program(OURS, ("-m", "benchmarks.priority"), "a few requests beside a flood"),
    "bench-retries": program(OURS, ("-m", "benchmarks.retries"), "100,000 retries that wait"),
    "bench-scale": program(OURS, ("-m", "benchmarks.scale"), "one, four and eight dispatchers"),
    "history": program(OURS, ("-m", "faults.history", "run"), HISTORY),
    "check-history": program(OURS, ("-m", "faults.history", "check"), CHECK_HISTORY),
    "mutants": program(OURS, ("-m", "faults.mutants"), MUTANTS),
    "simulate": program(OURS, ("-m", "simulation"), SIMULATE),
    "faults": program(OURS, ("-m", "faults"), FAULTS),
    "types": program(OURS, ("-m", "mypy"), "make the links that type checkers need, and run mypy"),
    "lock": lock,
    "clean": clean,
}


def main(arguments):
    """Run one target; the exit code is that of the program it runs."""
    if "--offline" in arguments:
        arguments = [one for one in arguments if one != "--offline"]
        os.environ.update(HEADRACE_OFFLINE="1", UV_OFFLINE="1")
    target = TARGETS.get(arguments[0]) if arguments else None
    if target is None:
        print("python3 dev.py TARGET [--offline] [ARGUMENT ...]\n")
        for name, function in TARGETS.items():
            print("  %-14s %s" % (name, function.__doc__))
        return 0 if not arguments or arguments[0] in ("help", "-h", "--help") else 2
    os.chdir(ROOT)
    set_environment()
    return target(arguments[1:]) or 0


def set_environment():
    """No proxy for loopback, byte code is kept for all processes, and uv learns what pip was told."""
    environ = os.environ
    for name in ("NO_PROXY", "no_proxy"):
        environ[name] = ",".join(filter(None, (environ.get(name), LOOPBACK)))
    environ.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_USER="0")
    for name in ("PYTHONHOME", "PYTHONDONTWRITEBYTECODE"):
        environ.pop(name, None)
    translated = (
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
        ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST"),
        ("PIP_CERT", "SSL_CERT_FILE"),
        ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
        ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
    )
    for pip_name, uv_name in translated:
        if environ.get(pip_name):
            environ.setdefault(uv_name, environ[pip_name])


def install(lock_name):
    """Make the environment hold what the lock names; quick when nothing changed."""
    with only_one():
        make_environment()
        link_types()
        if any(read(stamp(name)) == fingerprint(name) for name in at_least(lock_name)):
            return
        print("Installing %s (once, and when it changes)" % lock_name, file=sys.stderr)
        installer = find_installer()
        try:
            run(*installer, "--require-hashes", "-r", lock_name)
            run(*installer, "--no-deps", "--no-build-isolation", "-e", ".")
        except subprocess.CalledProcessError:
            sys.exit(registry_advice())
        with open(stamp(lock_name), "w") as written:
            written.write(fingerprint(lock_name))


def stamp(lock_name):
    """The file that says what was installed last from a lock."""
    return os.path.join(VENV, "." + lock_name + ".stamp")


def at_least(lock_name):
    """This lock and those that contain all of it."""
    return [name for name, extras in LOCKS.items() if set(LOCKS[lock_name]) <= set(extras)]


def make_environment():
    """Make .venv with a supported Python; again when it was moved or its Python is gone."""
    if read(os.path.join(VENV, ".root")) == ROOT and version_of(PYTHON) in SUPPORTED:
        return
    python = find_python()
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.call([python, "-m", "venv", VENV]):
        sys.exit("Could not make .venv. On Debian and Ubuntu: apt install python3-venv")
    with open(os.path.join(VENV, ".root"), "w") as root:
        root.write(ROOT)


def find_python():
    """This interpreter if it is supported, else one on the PATH."""
    candidates = [sys.executable]
    candidates += [shutil.which("python%d.%d" % version) for version in reversed(SUPPORTED)]
    for candidate in filter(None, candidates):
        if version_of(candidate) in SUPPORTED:
            return candidate
    sys.exit(
        "Headrace needs Python 3.11, 3.12 or 3.13; this is %d.%d and no other is on the PATH.\n"
        "Install one: apt install python3.11 python3.11-venv | dnf install python3.12 |\n"
        "brew install python@3.13 | https://www.python.org/downloads/" % sys.version_info[:2]
    )


def version_of(python):
    """(major, minor) of an interpreter, None when there is none or it does not run."""
    if not os.path.exists(python):
        return None
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    asked = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    printed = asked.stdout.split()
    return tuple(int(part) for part in printed) if len(printed) == 2 else None


def find_installer():
    """uv where it has a wheel (2 s instead of 26 s), else pip; both check every hash."""
    pip = ("-m", "pip", "install", "--quiet")
    asked = [PYTHON, "-P", os.path.join("cli", "localkafka", "cache.py")]
    wheels = os.path.join(subprocess.check_output(asked).decode(), "wheels")
    hashed = ("--require-hashes", "-r", BUILD_LOCK)
    try:
        if "HEADRACE_OFFLINE" not in os.environ:
            run("-m", "pip", "download", "--quiet", *hashed, "--dest", wheels)
        run(*pip, "--no-index", "--find-links", wheels, *hashed)
    except subprocess.CalledProcessError:
        sys.exit(registry_advice())
    if subprocess.call([PYTHON, "-m", "uv", "--version"], stdout=subprocess.DEVNULL):
        return pip
    asked = [PYTHON, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if configured.returncode == 0:
        os.environ.setdefault("UV_DEFAULT_INDEX", configured.stdout.decode().strip())
    return ("-m", "uv", "pip", "install", "--python", PYTHON)


def registry_advice():
    """Which registry failed, without the credentials that its address may carry."""
    address = os.environ.get("UV_DEFAULT_INDEX") or "the default Python package index"
    scheme, _, rest = address.rpartition("://")
    shown = scheme + "://" + rest.rpartition("@")[2] if scheme else address
    return (
        "Could not install from %s (the lines above say why).\n"
        "Behind a proxy set HTTPS_PROXY; for a mirror set PIP_INDEX_URL; for a company's own\n"
        "certificates set SSL_CERT_FILE. Then run the same command again: what has arrived is\n"
        "kept. Without a network, --offline uses what was fetched before." % shown
    )


def link_types():
    """`.typing/headrace/ROOM` -> the folder, so that type checkers see `headrace.ROOM`."""
    folder = os.path.join(ROOT, ".typing", "headrace")
    os.makedirs(folder, exist_ok=True)
    for room in ROOMS:
        link = os.path.join(folder, room)
        if not os.path.islink(link):
            os.symlink(os.path.join("..", "..", room), link)


def fingerprint(lock_name):
    """Of everything that an installation depends on."""
    digest = hashlib.sha256(ROOT.encode())
    for name in (lock_name, BUILD_LOCK, "pyproject.toml"):
        digest.update((read(os.path.join(ROOT, name)) or "").encode())
    return digest.hexdigest()


@contextlib.contextmanager
def only_one():
    """Two runs at once must not install into one environment."""
    os.makedirs(os.path.join(ROOT, ".typing"), exist_ok=True)
    with open(os.path.join(ROOT, ".typing", ".lock"), "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def read(path):
    """The text of a file, None when there is none."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        return file.read()


def run(*arguments):
    """Run the environment's Python; raises CalledProcessError."""
    subprocess.check_call([PYTHON, *arguments])


def replace_by(program, *arguments):
    """Become the program, so that signals and its exit code need no passing on."""
    sys.stdout.flush()
    os.execv(PYTHON, [PYTHON, *program, *arguments])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)
    except KeyboardInterrupt:
        sys.exit(130)
