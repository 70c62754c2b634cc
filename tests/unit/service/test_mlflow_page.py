"""Tests of the path of an experiment's page in MLflow."""

from service.mlflow_page import page_of


def test_a_page_shows_a_saved_view_in_the_mode_for_training() -> None:
    assert page_of("7", "arms") == (
        "/#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey=arms"
    )


def test_without_a_view_a_page_shows_the_runs_of_an_earlier_version() -> None:
    assert page_of("7", None) == "/#/experiments/7/runs?workflowType=machine_learning"
