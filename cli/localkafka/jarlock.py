"""Rewrites kafka.lock for the version named in jars.py: `python3 dev.py lock`.

The bridge that sends Kafka's own log lines to standard error is no dependency of Kafka, so
it is named here; its version follows the slf4j-api that Kafka asks for.
"""

import hashlib
import tempfile
from pathlib import Path

from jgo.maven import Artifact, MavenContext

from headrace.cli.localkafka.jars import KAFKA_VERSION

ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")


def main() -> None:
    """Resolve, download and hash everything; write the file beside this module."""
    with tempfile.TemporaryDirectory() as repository:
        context = MavenContext(repo_cache=Path(repository))
        roots = [context.create_dependency(root) for root in ROOTS]
        named, implied = context.resolver.resolve(roots)
        wanted = [one for one in implied if one.scope in ("compile", "runtime")]
        lines = {lock_line(one.artifact) for one in [*named, *wanted]}
    target = Path(__file__).with_name("kafka.lock")
    target.write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")


def lock_line(artifact: Artifact) -> str:
    """`group:artifact:version bytes sha256:hex`, as `jars.parse_line` reads it."""
    content = artifact.resolve().read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    coordinates = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return f"{coordinates} {len(content)} sha256:{digest}"


if __name__ == "__main__":
    main()
