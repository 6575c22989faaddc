# One image for every service of the platform; the commands and the healthchecks are in docker-compose.yml and deploy/kubernetes.
# Base images are pinned by version. To pin by digest as well, put `@sha256:...` behind the version:
# `docker buildx imagetools inspect python:3.11.14-slim-bookworm` prints it.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY requirements-build.lock requirements.lock ./
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY hl_assets ./hl_assets
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist .
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 hl && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/hl_assets hl \
    && install --directory --owner=hl --group=hl /opt/dagster/storage /var/lib/hl_assets
COPY --from=build /opt/venv /opt/venv
COPY dagster.yaml deploy/workspace.yaml /opt/dagster/
ENV PATH=/opt/venv/bin:$PATH \
    DAGSTER_HOME=/opt/dagster \
    HL_ASSETS_HOME=/var/lib/hl_assets \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/hl_assets
CMD ["hl-assets", "--help"]
