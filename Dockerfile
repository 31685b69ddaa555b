# Threadbridge as a container: `docker build -t threadbridge .`
# To pin the base image, give its digest with the tag:
#   docker build --build-arg PYTHON=3.13-slim-trixie@sha256:… -t threadbridge .
ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
WORKDIR /src
COPY deploy/image deploy/image
COPY pyproject.toml README.md LICENSE ./
COPY bridge bridge
COPY adapters adapters
RUN deploy/image/wheel.sh /src /wheel \
    && deploy/image/install.sh /wheel /opt/threadbridge

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Threadbridge" \
      org.opencontainers.image.source="https://github.com/threadbridge/threadbridge" \
      org.opencontainers.image.licenses="MIT"
RUN --mount=type=bind,source=deploy/image/strip.sh,target=/strip.sh \
    /strip.sh /usr/local/bin/python3 \
    && groupadd --gid 10001 threadbridge \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin threadbridge \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/threadbridge /opt/threadbridge
# Host and port stand here so that the health check knows them; elsewhere the settings file says them.
# A home is needed by a library at its import, also where the engine chooses a user of its own.
ENV PATH=/opt/threadbridge/bin:$PATH \
    HOME=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    THREADBRIDGE_HTTP__HOST=0.0.0.0 \
    THREADBRIDGE_HTTP__PORT=3000
USER 10001:10001
# The settings file and, for SQLite, the database. Besides, only /tmp is written.
WORKDIR /data
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-I", "/opt/threadbridge/healthy.py"]
ENTRYPOINT ["threadbridge"]
CMD ["run"]
