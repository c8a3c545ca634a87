# Build: what the lock pins, by hash, and this project; run: only what the worker and the command line need.
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /tools \
 && /tools/bin/pip install --no-cache-dir --require-hashes --no-deps --requirement requirements.lock \
 && /tools/bin/pip wheel --no-cache-dir --require-hashes --no-deps --wheel-dir /wheels --requirement requirements.lock
COPY pyproject.toml setup.py README.md LICENSE worker.py ./
COPY activities activities
COPY adapters adapters
COPY client client
COPY domain domain
COPY sb_transfer_service sb_transfer_service
COPY starter starter
COPY workflows workflows
# The wheels lie there in one version each, so this takes the locked ones, and no development tools.
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . ./client \
 && python -m venv --without-pip /opt/sb-transfer \
 && /tools/bin/pip --python /opt/sb-transfer/bin/python install --no-cache-dir --no-index --find-links /wheels 'sb-transfer[api]' sb-transfer-client

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sb-transfer
COPY --from=build /opt/sb-transfer /opt/sb-transfer
ENV PATH=/opt/sb-transfer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /tmp
CMD ["sb-transfer", "worker"]
