# Two images of one tree:
#   docker build --target pipeline -t finecap-pipeline .   trains, evaluates, promotes, indexes
#   docker build --target search -t finecap-search .       searches and captions, nothing else
# compose.yaml builds both. TORCH_INDEX chooses the device. Empty, torch comes from the package registry: on Linux x86-64 its
# CUDA build. The address of torch's index of CPU wheels gives a far smaller image.
ARG PYTHON=3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM python:${PYTHON} AS runtime
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FINECAP_HOME=/app/var
WORKDIR /app
# Numbered, so that an orchestrator can check that it is not root. State is a volume.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin finecap \
    && install --directory --owner=10001 --group=10001 /app/var /app/artifacts

FROM runtime AS builder
ARG TORCH_INDEX=""
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy VIRTUAL_ENV=/app/.venv
RUN pip install --no-cache-dir uv==0.13.9 && uv venv /app/.venv
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY dagster_project dagster_project
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX" --index-strategy unsafe-best-match} \
    '.[postgres]'

FROM builder AS pipeline-builder
ARG TORCH_INDEX=""
# Editable: orchestration finds data.dvc and mlflow/ in the tree that its own package lies in.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX" --index-strategy unsafe-best-match} \
    --editable '.[pipeline,team]'

FROM runtime AS search
COPY --from=builder /app/.venv /app/.venv
USER 10001:10001
VOLUME /app/var
ENTRYPOINT ["finecap"]
CMD ["--help"]

FROM runtime AS pipeline
# GitPython, which MLflow uses, refuses to be imported without git.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
COPY --from=pipeline-builder /app/.venv /app/.venv
COPY . .
# The data folder is drawn or pulled beside the tree at run time, and no git history comes along.
# DVC's own place for what it caches, /var/tmp, is read-only where the containers run.
RUN dvc config --local core.no_scm true \
    && dvc config --local cache.dir /app/var/cache/dvc \
    && dvc config --local core.site_cache_dir /tmp/dvc \
    && mkdir -p /app/.dvc/tmp \
    && chown 10001:10001 /app /app/.dvc /app/.dvc/tmp
ENV OMP_NUM_THREADS=1
USER 10001:10001
VOLUME /app/var
CMD ["python", "-m", "dagster_project.run"]
