# docker build --target cpu -t rsgnet .      docker run --rm -p 8000:8000 rsgnet
# docker build --target gpu -t rsgnet:gpu .  docker run --rm --gpus all -p 8000:8000 rsgnet:gpu
# The wheel bounds its dependencies and takes their newest versions, so hadolint's rules about pins are ignored. The user
# is a number, by which Kubernetes sees that it is not root.

FROM python:3.12-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim-bookworm AS cpu
COPY --from=wheel /wheels /wheels
# hadolint ignore=DL3013
RUN wheel="$(ls /wheels/*.whl)" && pip install --no-cache-dir "${wheel}[serve]" && useradd --uid 10001 --create-home rsgnet
USER 10001
WORKDIR /home/rsgnet
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz')"]
ENTRYPOINT ["rsgnet"]
CMD ["serve", "--host", "0.0.0.0"]

FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04 AS gpu
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheels /wheels
ENV PATH=/venv/bin:$PATH
# onnxruntime and onnxruntime-gpu are one Python package: the second has to be installed last.
# hadolint ignore=DL3013
RUN python3 -m venv /venv && wheel="$(ls /wheels/*.whl)" && pip install --no-cache-dir "${wheel}[serve]" \
  && pip uninstall --yes onnxruntime && pip install --no-cache-dir "onnxruntime-gpu>=1.19" \
  && useradd --uid 10001 --create-home rsgnet
USER 10001
WORKDIR /home/rsgnet
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz')"]
ENTRYPOINT ["rsgnet"]
CMD ["serve", "--host", "0.0.0.0", "--device", "cuda"]
