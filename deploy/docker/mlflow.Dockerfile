# The MLflow server with the same pinned packages as scripts/start_mlflow.sh.
FROM python:3.11-slim-bookworm
COPY scripts/mlflow/requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir -r /tmp/requirements.txt && useradd --create-home --uid 65532 mlflow \
    && install -d -o mlflow -g mlflow /var/lib/mlflow
USER mlflow
WORKDIR /var/lib/mlflow
EXPOSE 5000
# MLflow's Host check compares names with their ports. The host publishes it at any port
# (MLFLOW_PORT); browsers leave out 80. The Collector calls it by the name mlflow.
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "2", \
     "--backend-store-uri", "sqlite:////var/lib/mlflow/mlflow.db", \
     "--artifacts-destination", "/var/lib/mlflow/mlartifacts", \
     "--allowed-hosts", "localhost,localhost:*,127.0.0.1,127.0.0.1:*,mlflow:5000"]
