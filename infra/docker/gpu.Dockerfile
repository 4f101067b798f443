# Workers that run the model on NVIDIA GPUs:
#   docker build -f infra/docker/gpu.Dockerfile -t voxmill:0.1.0-gpu .
# The CUDA libraries come with torch; the node brings the driver.
ARG PYTHON_VERSION=3.11
ARG DEBIAN_RELEASE=bookworm

FROM python:${PYTHON_VERSION}-slim-${DEBIAN_RELEASE} AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY pipeline pipeline
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON_VERSION}-slim-${DEBIAN_RELEASE}

# KubeRay's health probes call wget; Triton, which compiles the fused attention, calls a C compiler.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes gcc libc6-dev wget \
    && rm -rf /var/lib/apt/lists/*

# Into the image's own Python, not a virtual environment: KubeRay starts Ray through a login shell, which forgets PATH.
COPY infra/constraints.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt torch
# ray[default] brings the agent that KubeRay's health probes ask.
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt /tmp/wheels/*.whl "ray[data,default]"

# What the container runtime gives in: all devices that the pod asked for, to compute with and to look at.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

RUN useradd --create-home --uid 1000 voxmill \
    && install --directory --owner=voxmill /home/voxmill/app
USER voxmill
WORKDIR /home/voxmill/app
COPY --chown=voxmill jobs jobs
CMD ["voxmill", "--help"]
