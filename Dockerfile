# `pawprint serve` without what trains: no TensorFlow, MLflow or DVC.
#
#   docker build -t pawprint .
#   docker run --rm -p 8000:8000 -v "$PWD/models/champion:/model:ro" pawprint
#
# With the folder, not the file, a new champion in it is seen, and what register wrote beside it
# tells version, run, data and accuracy.
#
# What stands behind the image's name goes to `pawprint`, so `predict` works too, all but Parquet:
#
#   docker run --rm -v "$PWD:/here:ro" pawprint predict \
#     --model /here/models/champion/model.onnx /here/data
#
# An image with its network inside:
#
#   FROM pawprint
#   COPY models/champion /model

FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv --without-pip /venv
COPY requirements-serve.lock ./
RUN pip --python /venv/bin/python install --no-cache-dir --no-deps --only-binary :all: -r requirements-serve.lock
COPY pyproject.toml README.md LICENSE dvc.yaml params.yaml MLproject .dvcignore ./
COPY .dvc ./.dvc
COPY conf ./conf
COPY src ./src
RUN pip --python /venv/bin/python install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 pawprint
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /model
# A number, by which an orchestrator sees that it is not root.
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["pawprint"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--model", "/model/model.onnx"]
