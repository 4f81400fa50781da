# A small image of coord: `make image` builds it. BASE is any image with Python 3.11 to 3.13 as
# python3; pin it by digest with --build-arg BASE=python:3.12-slim-bookworm@sha256:….
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY . .
# Wheels made beforehand (deploy/wheels.sh) need no network here; without them the index is asked.
RUN python3 -m venv /opt/coord \
 && if [ -d build/wheels ]; then \
      /opt/coord/bin/pip install --no-cache-dir --no-index --find-links build/wheels 'coord[server]'; \
    else \
      /opt/coord/bin/pip install --no-cache-dir -c constraints.txt '.[server]'; \
    fi \
 && /opt/coord/bin/pip uninstall --yes pip setuptools \
 && /opt/coord/bin/python -m compileall -q /opt/coord

FROM ${BASE}
RUN groupadd --gid 10001 coord \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/coord --create-home --shell /usr/sbin/nologin coord
COPY --from=build /opt/coord /opt/coord
ENV PATH=/opt/coord/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    COORD_NODE_DIR=/var/lib/coord/node \
    COORD_NODE_CLIENT=0.0.0.0:2181 \
    COORD_NODE_PEER=0.0.0.0:2281 \
    COORD_NODE_HTTP=0.0.0.0:2381
USER 10001:10001
WORKDIR /var/lib/coord
VOLUME /var/lib/coord
EXPOSE 2181 2281 2381
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:2381/readyz', timeout=3)"]
ENTRYPOINT ["coord"]
CMD ["serve"]
