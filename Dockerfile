# Images of the steps of a compiled pipeline, for Kubeflow Pipelines 2 and Vertex AI.
#
#     docker build --tag tfx-best-exporter .
#     docker build --tag tfx-best-exporter-light --target light .
#
# The first image is for all steps. The second, small one is for steps of BestExporter that need neither
# TensorFlow nor TFX; docs/runners.md lists them.
#
# For a private package index, add --secret id=pip.conf,src=$HOME/.config/pip/pip.conf. The secret is
# mounted while pip runs. No layer contains it.
#
# Debian 13 has glibc 2.41. ml-metadata and tensorflow-data-validation of TFX 1.21 need at least 2.39.
# For Python 3.12 and later requirements.lock has no override, so pip can use it as constraints.

FROM python:3.13-slim-trixie AS installers
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements.lock ./
# TFX installs a pipeline's own modules with pip when a step runs.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
  python -m venv /opt/venv \
  && python -m pip install --constraint requirements.lock pip setuptools wheel
COPY pyproject.toml ./

FROM installers AS packages
# Some requirements, such as pyfarmhash, have no wheel for this Python and are compiled.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends g++ \
  && rm -rf /var/lib/apt/lists/*
# Dependencies are a separate layer, which stays in the cache when the code changes. TFX's entry point
# needs only kfp-pipeline-spec of kfp.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
  python -c 'import tomllib; \
project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*project["dependencies"], *project["optional-dependencies"]["s3"], sep="\n")' > asked.txt \
  && python -m pip install --constraint requirements.lock --requirement asked.txt kfp-pipeline-spec

FROM installers AS wheel
COPY LICENSE README.md best_exporter.py ./
COPY cli cli
COPY component component
COPY executor executor
COPY proto proto
RUN python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir dist .

FROM installers AS light-packages
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
  python -c 'import tomllib; \
print(*tomllib.load(open("pyproject.toml", "rb"))["tool"]["tfx-best-exporter"]["light-image"], sep="\n")' \
  > asked.txt \
  && python -m pip install --constraint requirements.lock --requirement asked.txt \
  && python -m pip install --constraint requirements.lock --no-deps tfx
# Outputs carry the version of TFX, which its metadata contains. Its code cannot run without TensorFlow.
# The tests of numpy and scipy are 49 MiB.
RUN --mount=type=bind,from=wheel,source=/build/dist,target=/mnt \
  python -m pip install --no-deps --no-index /mnt/*.whl \
  && rm -r /opt/venv/lib/python3.13/site-packages/tfx \
  && find /opt/venv/lib/python3.13/site-packages/numpy /opt/venv/lib/python3.13/site-packages/scipy \
    -type d -name tests -prune -exec rm -r {} + \
  && python -m pip uninstall --yes setuptools wheel pip

FROM python:3.13-slim-trixie AS light
LABEL org.opencontainers.image.title="tfx-best-exporter-light" \
  org.opencontainers.image.description="The component that exports a model only when it is better than the one being served, without TensorFlow." \
  org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
COPY --from=light-packages /opt/venv /opt/venv
RUN useradd --create-home --uid 1000 tfx
# Kubernetes' runAsNonRoot requires a numeric user.
USER 1000
WORKDIR /home/tfx
ENTRYPOINT ["python", "-m", "tfx_best_exporter.executor.container"]

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="tfx-best-exporter" \
  org.opencontainers.image.description="TFX, and the component that exports a model only when it is better than the one being served." \
  org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONPATH=/opt/examples
COPY --from=packages /opt/venv /opt/venv
# The code of the example pipeline: pipelines.penguin.trainer_module.run_fn.
COPY pipelines/__init__.py /opt/examples/pipelines/
COPY pipelines/penguin /opt/examples/pipelines/penguin
RUN --mount=type=bind,from=wheel,source=/build/dist,target=/mnt \
  python -m pip install --no-cache-dir --no-deps --no-index /mnt/*.whl \
  && useradd --create-home --uid 1000 tfx
# Kubernetes' runAsNonRoot requires a numeric user.
USER 1000
WORKDIR /home/tfx
ENTRYPOINT ["python", "-m", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"]
