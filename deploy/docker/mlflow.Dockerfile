# The MLflow server with the same pinned packages as scripts/start_mlflow.sh.
FROM python:3.11-slim-bookworm
COPY scripts/mlflow/requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir -r /tmp/requirements.txt && useradd --create-home --uid 65532 mlflow \
    && install -d -o mlflow -g mlflow /var/lib/mlflow
USER mlflow
WORKDIR /var/lib/mlflow
EXPOSE 5000
# A name other than localhost or a private address is refused by MLflow's Host check
# unless it is listed with its port.
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "2", \
     "--backend-store-uri", "sqlite:////var/lib/mlflow/mlflow.db", \
     "--artifacts-destination", "/var/lib/mlflow/mlartifacts", \
     "--allowed-hosts", "localhost:5000,127.0.0.1:5000,mlflow:5000"]
