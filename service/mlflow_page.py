"""The pages of an experiment in MLflow, as paths below the server's address."""

from urllib.parse import urlencode


def run_page(mlflow_experiment_id: str, run_id: str) -> str:
    """Return the path of a run's page, in the same mode."""
    return f"/#/experiments/{mlflow_experiment_id}/runs/{run_id}?workflowType=machine_learning"


def file_page(mlflow_experiment_id: str, run_id: str, name: str) -> str:
    """Return the path of the page that shows a file of a run, in the same mode."""
    return f"/#/experiments/{mlflow_experiment_id}/runs/{run_id}/artifactPath/{name}?workflowType=machine_learning"


def page_of(mlflow_experiment_id: str, view: str | None) -> str:
    """Return the path of an experiment's runs, in the mode for model training.

    Without the mode, MLflow opens a page about traces of language models.

    Args:
        mlflow_experiment_id: The experiment's id in MLflow.
        view: The key of the saved view to show, with its charts; None: the table of all runs.
    """
    query = {"workflowType": "machine_learning"}
    if view is not None:
        query |= {"compareRunsMode": "CHART", "viewStateShareKey": view}
    return f"/#/experiments/{mlflow_experiment_id}/runs?{urlencode(query)}"
