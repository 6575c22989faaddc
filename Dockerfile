# One image for every service: the commands differ (see docker-compose.yml).
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml setup.py README.md ./
COPY hl_assets ./hl_assets
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir .

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 hl
COPY --from=build /opt/venv /opt/venv
COPY dagster.yaml workspace.yaml /opt/dagster/
ENV PATH=/opt/venv/bin:$PATH DAGSTER_HOME=/opt/dagster HL_ASSETS_HOME=/var/lib/hl_assets PYTHONUNBUFFERED=1
RUN mkdir -p /var/lib/hl_assets && chown -R hl /opt/dagster /var/lib/hl_assets
USER hl
WORKDIR /opt/dagster
CMD ["dagster-webserver", "-w", "workspace.yaml", "-h", "0.0.0.0", "-p", "3000"]
