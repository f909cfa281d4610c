# bytes-migrator in a container: small, as user 1000 like Bytes' own, with a read-only root file system.
#
#   docker build -t bytes-migrator .                      the command
#   docker build -t bytes-migrator:dask --target dask .   with Dask, for coordinator, scheduler and workers of a cluster
#
#   docker run --rm --read-only --tmpfs /tmp -v bytes-migrator-state:/state -v bytes-data:/data:ro \
#     --env-file .env bytes-migrator plan --to s3

# Any base with Python 3.10 or later and its venv: pip works in a virtual environment, as Debian's own Python demands.
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS wheel
WORKDIR /source
RUN python3 -m venv /opt/bytes-migrator
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY migrator migrator
RUN /opt/bytes-migrator/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/bytes-migrator/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp \
    BYTES_MIGRATOR_STATE_DIR=/state
RUN python3 -m venv /opt/bytes-migrator \
    && groupadd --gid 1000 bytes \
    && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin bytes \
    && install --directory --owner 1000 --group 1000 --mode 0700 /state
VOLUME /state
STOPSIGNAL SIGTERM
ENTRYPOINT ["bytes-migrator"]
CMD ["--help"]
# Healthy: the ledgers can be read, or there are none yet.
HEALTHCHECK --interval=60s --timeout=20s --start-period=10s --retries=3 \
    CMD ["bytes-migrator", "status", "--runs", "1", "--problems", "0"]

FROM base AS dask
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile "$(echo /wheels/*.whl)[dask]"
USER 1000:1000

FROM base AS migrator
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    --mount=type=bind,source=deploy/requirements.lock,target=/requirements.lock \
    pip install --no-cache-dir --no-compile --require-hashes -r /requirements.lock \
    && pip install --no-cache-dir --no-compile --no-deps /wheels/*.whl
USER 1000:1000
