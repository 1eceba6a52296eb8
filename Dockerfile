# Two images from one file: `operator` and `worker`.
#
#   docker build --target operator --tag durafleet-operator .
#   docker build --target worker --tag durafleet-worker .
#
# Dependencies and source are separate layers, so a build after a source change takes seconds.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS python
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

FROM python AS build
ARG UV_VERSION=0.13.9
# If the build machine mounts its CA certificates here, they are used to verify the package index.
ENV LENT=/run/lent-certificates/ca-certificates.crt
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv
RUN if [ -s "${LENT}" ]; then export PIP_CERT="${LENT}"; fi; \
    python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --quiet "uv==${UV_VERSION}"
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON=/usr/bin/python3 \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /src
COPY pyproject.toml uv.lock ./

FROM build AS operator-dependencies
RUN --mount=type=cache,target=/root/.cache/uv \
    if [ -s "${LENT}" ]; then export SSL_CERT_FILE="${LENT}"; fi; \
    /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-install-project --extra operator \
 && cp "$(/opt/venv/bin/python -m certifi)" /opt/venv/authorities.crt

FROM build AS worker-dependencies
RUN --mount=type=cache,target=/root/.cache/uv \
    if [ -s "${LENT}" ]; then export SSL_CERT_FILE="${LENT}"; fi; \
    /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-install-project --extra worker \
 && cp "$(/opt/venv/bin/python -m certifi)" /opt/venv/authorities.crt

FROM python AS operator-source
COPY operator/durafleet /opt/app/durafleet
RUN python3 -m compileall -q /opt/app

FROM python AS worker-source
COPY operator/durafleet/__init__.py operator/durafleet/py.typed /opt/app/durafleet/
COPY operator/durafleet/api /opt/app/durafleet/api
COPY worker_image/durafleet_worker /opt/app/durafleet_worker
RUN python3 -m compileall -q /opt/app

# The slim base image has no CA certificates. All TLS libraries use those of certifi, which uv.lock pins.
FROM python AS runtime
ENV PATH=/opt/venv/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/opt/venv/authorities.crt
WORKDIR /opt/app
USER 65532:65532

FROM runtime AS operator
LABEL org.opencontainers.image.title="durafleet-operator" \
      org.opencontainers.image.description="Durable AI-agent fleets on Kubernetes: the operator" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=operator-dependencies /opt/venv /opt/venv
COPY --from=operator-source /opt/app /opt/app
ENTRYPOINT ["python3", "-m", "durafleet"]

# To add custom tools, build an image FROM this one and COPY the modules into /opt/app.
FROM runtime AS worker
LABEL org.opencontainers.image.title="durafleet-worker" \
      org.opencontainers.image.description="Durable AI-agent fleets on Kubernetes: the worker of declared agents" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=worker-dependencies /opt/venv /opt/venv
COPY --from=worker-source /opt/app /opt/app
ENTRYPOINT ["python3", "-m", "durafleet_worker"]
