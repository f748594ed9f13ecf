"""Apache Kafka's jars: named and hashed in kafka.lock, fetched once through jgo.

jgo knows the Maven repositories (its own settings file can name a mirror) and obeys
HTTPS_PROXY and REQUESTS_CA_BUNDLE; nothing here names a host. Every jar is compared with
the SHA-256 in kafka.lock before it is used.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from headrace.cli.localkafka.cache import only_one
from headrace.cli.localkafka.errors import DownloadFailed
from headrace.cli.progress import Reporter

KAFKA_VERSION = "4.4.0"
OFFLINE_NAME = "HEADRACE_OFFLINE"
CONNECTIONS = 8
ATTEMPTS = 3
PAUSE_S = 1.0
TIMEOUT_S = 20


@dataclass(frozen=True)
class LockedJar:
    """One line of kafka.lock: `group:artifact:version bytes sha256:hex`."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """As Maven names it."""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> tuple[LockedJar, ...]:
    """Read kafka.lock from the package."""
    text = resources.files("headrace.cli.localkafka").joinpath("kafka.lock").read_text("utf-8")
    return tuple(parse_line(line) for line in text.splitlines())


def parse_line(line: str) -> LockedJar:
    """Read one line of kafka.lock; `ValueError` when it is malformed."""
    coordinates, size, digest = line.split()
    group, artifact, version = coordinates.split(":")
    return LockedJar(group, artifact, version, int(size), digest.removeprefix("sha256:"))


def ensure_jars(cache: Path, reporter: Reporter) -> tuple[Path, ...]:
    """Return the paths of all jars, fetching those that are missing. Blocks; thread-safe.

    Errors: `DownloadFailed`. Whatever arrived whole is kept for the next attempt.
    """
    folder = cache / f"kafka-{KAFKA_VERSION}"
    jars = locked_jars()
    if not _missing(folder, jars):
        return _paths(folder, jars)
    with only_one(cache):
        missing = _missing(folder, jars)  # somebody else may have fetched them meanwhile
        if missing:
            folder.mkdir(exist_ok=True)
            _fetch(missing, folder, reporter)
    return _paths(folder, jars)


def _paths(folder: Path, jars: Iterable[LockedJar]) -> tuple[Path, ...]:
    return tuple(folder / jar.filename for jar in jars)


def _missing(folder: Path, jars: Iterable[LockedJar]) -> list[LockedJar]:
    """Jars enter the folder by rename after their hash was checked: the size is enough here."""
    return [jar for jar in jars if not _has_size(folder / jar.filename, jar.size)]


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _fetch(jars: list[LockedJar], folder: Path, reporter: Reporter) -> None:
    if os.environ.get(OFFLINE_NAME):
        message = f"Apache Kafka {KAFKA_VERSION} is not in {folder} and {OFFLINE_NAME} is set"
        raise DownloadFailed(f"{message}: run once without it, or set KAFKA_HOME.")
    total = sum(jar.size for jar in jars)
    reporter.say(f"Fetching Apache Kafka {KAFKA_VERSION} (once, {total / 1e6:.0f} MB)")
    repository = folder / ".repository"
    done = 0
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        fetches = {pool.submit(_fetch_one, jar, repository, folder): jar for jar in jars}
        try:
            for fetched in as_completed(fetches):
                fetched.result()
                done += fetches[fetched].size
                reporter.download(done, total)
        finally:
            pool.shutdown(cancel_futures=True)
    shutil.rmtree(repository)


def _fetch_one(jar: LockedJar, repository: Path, folder: Path) -> None:
    """Download, compare, and move into place; try again, for networks are what they are."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            path = _download(jar, repository)
            break
        except (OSError, RuntimeError, AssertionError) as error:  # what jgo and requests raise
            shutil.rmtree(_artifact_folder(jar, repository), ignore_errors=True)
            if attempt == ATTEMPTS:
                raise DownloadFailed(_advice(jar, error)) from error
            time.sleep(PAUSE_S * attempt)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != jar.sha256:
        path.unlink()
        expected = f"has SHA-256 {digest}, expected {jar.sha256}"
        raise DownloadFailed(f"{jar.filename} {expected}: the repository or a proxy changed it.")
    path.replace(folder / jar.filename)


def _download(jar: LockedJar, repository: Path) -> Path:
    # Imported here: it costs 0.3 s, and only the first run of all needs it.
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    context = MavenContext(repo_cache=repository, remote_repos=repositories, timeout=TIMEOUT_S)
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return component.artifact().resolve()


def _artifact_folder(jar: LockedJar, repository: Path) -> Path:
    return repository.joinpath(*jar.group.split("."), jar.artifact, jar.version)


def _advice(jar: LockedJar, error: Exception) -> str:
    return (
        f"Could not fetch {jar.filename} from the Maven repository: {error}. "
        "Check the network, HTTPS_PROXY and REQUESTS_CA_BUNDLE; a mirror can be named in "
        "jgo's settings file ([repositories] central = URL). Or set KAFKA_HOME to an "
        "unpacked Apache Kafka, or use a Kafka that runs with --bootstrap HOST:PORT."
    )
