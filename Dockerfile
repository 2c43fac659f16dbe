# Two images: `docker build --target platform .` is everything that computes, `--target api` answers over HTTP and
# holds neither Dagster nor MLflow nor models. docker-compose.yml uses both.

# What both run on. libgomp1: implicit and lightgbm do not import without it (the platform's only, but one layer serves both).
FROM python:3.11-slim-bookworm AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# The home belongs to the user of both images; a new named volume takes its owner from this folder.
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/recsys --no-create-home --shell /usr/sbin/nologin recsys \
    && install -d -o recsys -g recsys -m 0700 /var/lib/recsys
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RECSYS_HOME=/var/lib/recsys \
    DO_NOT_TRACK=true
WORKDIR /app

# Wheels are fetched here, and nothing of the fetching gets into an image.
FROM base AS build
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
ENV UV_SYSTEM_CERTS=1 \
    UV_NO_CACHE=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON_DOWNLOADS=never
RUN python -m venv --without-pip /opt/venv
COPY pyproject.toml requirements.lock ./

FROM build AS build-api
# The lock as a constraint: what pyproject.toml asks for, in the locked versions, every file checked by its hash.
RUN uv pip install --python /opt/venv/bin/python --require-hashes --constraint requirements.lock \
    --requirements pyproject.toml

FROM build AS build-platform
RUN uv pip install --python /opt/venv/bin/python --require-hashes --constraint requirements.lock \
    --requirements pyproject.toml --extra platform
# `recsys` itself, as a pointer to /app: sql/, templates/ and dagster.yaml have to stand beside the sources.
COPY README.md ./
COPY recsys_assets recsys_assets
RUN uv pip install --python /opt/venv/bin/python --no-deps --build-constraint requirements.lock --editable .
# By its manifest Dagster knows the marts. It needs no database.
COPY .ci/manifest .ci/manifest
COPY dbt_project dbt_project
RUN DBT=/opt/venv/bin/dbt sh .ci/manifest

FROM base AS api
COPY --from=build-api /opt/venv /opt/venv
COPY sql sql
COPY recsys_assets recsys_assets
RUN chmod -R a+rX /app
USER recsys
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s \
    CMD ["python", "-m", "recsys_assets.local.answers", "8000", "/livez"]
CMD ["python", "-m", "recsys_assets.serving", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS platform
COPY --from=build-platform /opt/venv /opt/venv
COPY --from=build-platform /app/dbt_project dbt_project
COPY dagster.yaml workspace.yaml requirements.lock ./
COPY sql sql
COPY templates templates
COPY recsys_assets recsys_assets
RUN chmod -R a+rX /app
# Dagster writes below DAGSTER_HOME, which is therefore in the home; `setup` of docker-compose.yml brings dagster.yaml.
ENV DAGSTER_HOME=/var/lib/recsys/dagster \
    DAGSTER_LOCAL_ARTIFACTS=/var/lib/recsys/dagster \
    DAGSTER_COMPUTE_LOGS=/var/lib/recsys/logs/dagster \
    DAGSTER_EVENT_BATCH_SIZE=1000 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    GX_ANALYTICS_ENABLED=false \
    OPENBLAS_NUM_THREADS=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba
USER recsys
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=6s --start-period=120s \
    CMD ["python", "-m", "recsys_assets.local.answers", "3000", "/server_info"]
CMD ["python", "-m", "recsys_assets.local.guarded", "-w", "workspace.yaml", "-h", "0.0.0.0", "-p", "3000"]
