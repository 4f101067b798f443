# Ray head, and workers that read, decode and compute features:
#   docker build -f infra/docker/cpu.Dockerfile -t voxmill:0.1.0-cpu .
ARG PYTHON_VERSION=3.11
ARG DEBIAN_RELEASE=bookworm

FROM python:${PYTHON_VERSION}-slim-${DEBIAN_RELEASE} AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY pipeline pipeline
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON_VERSION}-slim-${DEBIAN_RELEASE}
# An index with CPU builds of torch: 200 MB instead of the 3 GB that come with CUDA. Its local version (+cpu) wins.
ARG TORCH_INDEX

# KubeRay's health probes and its submitter call wget.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes wget \
    && rm -rf /var/lib/apt/lists/*

# Into the image's own Python, not a virtual environment: KubeRay starts Ray through a login shell, which forgets PATH.
COPY infra/constraints.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} torch
# ray[default] brings the dashboard, which takes the jobs, and the autoscaler.
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} \
    /tmp/wheels/*.whl "ray[data,default]"

RUN useradd --create-home --uid 1000 voxmill \
    && install --directory --owner=voxmill /home/voxmill/app
USER voxmill
WORKDIR /home/voxmill/app
COPY --chown=voxmill jobs jobs
CMD ["voxmill", "--help"]
