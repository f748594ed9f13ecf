# One image for every role: docker build --tag headrace:0.1.0 .
# For a build that can be repeated, give the base by digest:
#   --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY requirements-build.lock requirements-base.lock ./
# Wheels only: nothing is compiled and no package runs code of its own while it is installed.
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.lock \
 && python -m venv --without-pip /opt/headrace \
 && /opt/build/bin/pip --python /opt/headrace/bin/python install --no-cache-dir --require-hashes --only-binary :all: -r requirements-base.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas/ schemas/
COPY telemetry/ telemetry/
COPY ingress/ ingress/
COPY dispatcher/ dispatcher/
COPY cli/ cli/
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/build/bin/pip --python /opt/headrace/bin/python install --no-cache-dir --no-deps --no-index /dist/*.whl

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="headrace" \
      org.opencontainers.image.description="A durable, rate-aware request broker for LLM APIs on Apache Kafka" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/headrace /opt/headrace
COPY LICENSE /usr/share/licenses/headrace/LICENSE
# The index of the ingress; a volume that is mounted here takes the owner over.
RUN install -d -o 10001 -g 10001 /var/lib/headrace
# The root file system may be read-only: the byte code is compiled above, and whatever asks for a
# home or a cache finds /tmp.
ENV PATH=/opt/headrace/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8080 9090 9091 9095
# No HEALTHCHECK: the roles listen on different ports; docker-compose.yml and the chart probe each.
ENTRYPOINT ["headrace"]
