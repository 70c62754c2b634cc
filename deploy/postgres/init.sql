-- The service's own database is made by the image (POSTGRES_DB); MLflow gets one beside it.
CREATE DATABASE mlflow;
