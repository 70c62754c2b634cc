-- The image creates the service's database (POSTGRES_DB). This is the database for MLflow.
CREATE DATABASE mlflow;
