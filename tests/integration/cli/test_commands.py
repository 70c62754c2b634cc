"""Tests of the commands with a served API that stores experiments but runs none."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli.main import app
from service.documents import read_document
from service.states import ExperimentState, WorkState
from service.store.database import Database
from tests.integration.api.conftest import served, settings_for
from tests.integration.api.finished import finish_all
from tests.root import ROOT

EXAMPLE = ROOT / "examples" / "digits.yaml"


class Tet:
    """The command `tet` against a served API, with its database."""

    def __init__(self, url: str, database: Database) -> None:
        self.database = database
        self._env = {"TET_API_PORT": url.rpartition(":")[2]}

    def __call__(self, *arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=self._env)

    def submit(self, *arguments: object) -> str:
        result = self("submit", EXAMPLE, *arguments)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    def end(self, experiment_id: str, state: ExperimentState) -> None:
        """End an experiment as the reconciler would."""
        with self.database.session() as repository:
            before = repository.experiments.get(experiment_id).state
            assert repository.transitions.advance(experiment_id, ExperimentState(before), state)


@pytest.fixture
def tet(tmp_path: Path) -> Iterator[Tet]:
    settings = settings_for(tmp_path, f"sqlite:///{tmp_path / 'tet.db'}")
    with served(settings) as client:
        database = Database(settings.database_url)
        yield Tet(str(client.base_url), database)
        database.dispose()


def test_submit_prints_the_id_of_the_new_experiment(tet: Tet) -> None:
    experiment_id = tet.submit()
    shown = tet("show", experiment_id, "--json")
    assert json.loads(shown.stdout)["name"] == "digits: SDT, TET, TIT"


def test_each_submit_creates_an_experiment_unless_its_key_was_used_before(tet: Tet) -> None:
    assert tet.submit() != tet.submit()
    assert tet.submit("--idempotency-key", "k") == tet.submit("--idempotency-key", "k")


def test_another_file_under_the_same_key_is_refused(tet: Tet, tmp_path: Path) -> None:
    tet.submit("--idempotency-key", "k")
    other = tmp_path / "other.yaml"
    other.write_text(EXAMPLE.read_text().replace("seeds: [0, 1, 2]", "seeds: [7]"))
    result = tet("submit", other, "--idempotency-key", "k")
    assert result.exit_code == 1
    assert "(HTTP 409)" in result.stderr


def test_validate_prints_the_size_of_the_experiment_and_stores_nothing(tet: Tet) -> None:
    result = tet("validate", EXAMPLE)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "no faults: 9 chains, 12 stages")
    assert "Ray does not answer" in result.stdout
    assert json.loads(tet("validate", EXAMPLE, "--json").stdout)["num_trials"] == 12
    assert tet("validate", "--preset", "fig4a-time-scalability-mini").exit_code == 0
    assert json.loads(tet("list", "--json").stdout) == []
    nothing = tet("validate")
    assert (nothing.exit_code, nothing.stderr.partition(":")[2].partition(":")[0]) == (1, " there is nothing to run")


@pytest.mark.parametrize("command", ["submit", "validate"])
def test_every_fault_of_a_spec_is_listed_by_its_field(tet: Tet, tmp_path: Path, command: str) -> None:
    faulty = tmp_path / "faulty.json"
    arm = {"name": "SDT", "stages": [{"kind": "train", "T": 0, "epochs": 1, "loss": {"name": "sdt"}}]}
    spec = {"name": "x", "dataset": {"name": "digits"}, "model": {"name": "vgg_small"}, "arms": [arm], "seeds": []}
    faulty.write_text(json.dumps(spec))
    result = tet(command, faulty)
    assert result.exit_code == 1
    lines = [line.strip().partition(":")[0] for line in result.stderr.splitlines()]
    assert lines[0] == "error"
    assert sorted(lines[1:]) == ["arms[0].stages[0].T", "seeds"]
    assert "(got 0)" in result.stderr


def test_a_missing_file_is_named(tet: Tet, tmp_path: Path) -> None:
    result = tet("submit", tmp_path / "none.yaml")
    assert result.exit_code == 1
    assert "none.yaml cannot be read: No such file or directory" in result.stderr


def test_a_preset_is_submitted_by_its_name(tet: Tet, tmp_path: Path) -> None:
    made = tet("submit", "--preset", "fig3-switch-mini")
    assert made.exit_code == 0, made.output
    assert json.loads(tet("show", made.stdout.strip(), "--json").stdout)["preset"] == "fig3-switch-mini"
    changes = tmp_path / "changes.yaml"
    changes.write_text("seeds: [9]")
    made = tet("submit", changes, "--preset", "fig3-switch-mini")
    assert {c["seed"] for c in json.loads(tet("show", made.stdout.strip(), "--json").stdout)["chains"]} == {9}


def test_presets_are_listed_and_printed(tet: Tet) -> None:
    assert "fig3-switch-mini" in tet("presets").stdout
    assert "fig3-switch-mini" in [row["name"] for row in json.loads(tet("presets", "--json").stdout)]
    assert tet("presets", "fig3-switch-mini").stdout.startswith("title: ")
    assert "there is no preset 'x'" in tet("presets", "x").stderr


def test_submit_without_a_file_or_preset_names_both(tet: Tet) -> None:
    result = tet("submit")
    assert (result.exit_code, "give a FILE, or --preset NAME" in result.stderr) == (1, True)


def test_list_shows_all_experiments_newest_first(tet: Tet) -> None:
    ids = [tet.submit() for _ in range(3)]
    rows = json.loads(tet("list", "--json").stdout)
    assert [row["id"] for row in rows] == ids[::-1]
    tet.end(ids[0], ExperimentState.FAILED)
    assert [row["id"] for row in json.loads(tet("list", "--json", "--state", "failed").stdout)] == [ids[0]]
    assert ids[1] in tet("list").stdout


def test_show_and_compare_print_every_arm(tet: Tet) -> None:
    experiment_id = tet.submit()
    assert all(arm in tet("show", experiment_id).stdout for arm in ("SDT", "TET", "TIT"))
    compared = tet("compare", experiment_id).stdout
    assert all(arm in compared for arm in ("SDT (baseline)", "TET", "TIT", "minus SDT"))
    assert json.loads(tet("compare", experiment_id, "--json").stdout)["baseline"] == "SDT"


def test_an_unknown_experiment_is_an_error(tet: Tet) -> None:
    result = tet("show", "0" * 20)
    assert result.exit_code == 1
    assert "(HTTP 404)" in result.stderr


def test_following_a_failed_experiment_exits_with_1(tet: Tet) -> None:
    experiment_id = tet.submit()
    tet.end(experiment_id, ExperimentState.FAILED)
    result = tet("follow", experiment_id)
    assert result.exit_code == 1
    assert f"experiment {experiment_id} is failed" in result.stdout


def test_cancel_is_accepted(tet: Tet) -> None:
    experiment_id = tet.submit()
    assert tet("cancel", experiment_id).exit_code == 0


def test_pause_prints_how_to_resume_and_fails_after_the_end(tet: Tet) -> None:
    experiment_id = tet.submit()
    assert f"continue with: tet resume {experiment_id}" in tet("pause", experiment_id).stderr.replace("\n", " ")
    assert tet("resume", experiment_id).exit_code == 0
    tet.end(experiment_id, ExperimentState.FAILED)
    result = tet("pause", experiment_id)
    assert (result.exit_code, "cannot be paused" in result.stderr) == (1, True)


def test_rerun_best_measures_the_best_configurations_over_other_seeds(tet: Tet, tmp_path: Path) -> None:
    search = {"method": "grid", "space": {"optimizer.lr": {"choice": [0.01, 0.02]}}}
    file = tmp_path / "search.json"
    example = read_document(EXAMPLE.read_bytes(), "application/yaml")
    assert isinstance(example, dict)
    file.write_text(json.dumps({**example, "search": search, "validation": 0.1}))
    parent = tet("submit", file).stdout.strip()
    refused = tet("rerun-best", parent, "--seeds", "10-12")
    assert (refused.exit_code, "are not known until it has ended" in refused.stderr.replace("\n", " ")) == (1, True)
    with tet.database.session() as repository:
        for chain in repository.work.chains(parent):
            chain.state = WorkState.SUCCEEDED
            chain.stages[-1].metrics = {"val/accuracy": 0.5, "test/accuracy": 0.5}
    tet.end(parent, ExperimentState.SUCCEEDED)
    again = tet("rerun-best", parent, "--seeds", "1,10")
    assert (again.exit_code, "seeds: must be none of the search's own" in again.stderr) == (1, True)
    made = tet("rerun-best", parent, "--seeds", "10-12,20", "--arm", "SDT", "--arm", "TET", "--name", "the best")
    assert made.exit_code == 0, made.output
    shown = json.loads(tet("show", made.stdout.strip(), "--json").stdout)
    assert (shown["name"], shown["rerun_of"]) == ("the best", parent)
    assert {(chain["arm"], chain["seed"]) for chain in shown["chains"]} == {
        (arm, seed) for arm in ("SDT", "TET") for seed in (10, 11, 12, 20)
    }
    assert f"best of {parent}" in tet("show", made.stdout.strip()).stdout


@pytest.mark.parametrize("seeds", ["x", "", "3-1", "1,,2", "-1", "1-2-3", "0-1000000000"])
def test_invalid_seeds_are_refused(tet: Tet, seeds: str) -> None:
    result = tet("rerun-best", "0" * 20, f"--seeds={seeds}")
    assert (result.exit_code, "must be" in result.stderr) == (1, True), result.output


def test_without_an_api_the_error_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TET_API_PORT", "9")
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 1
    assert "no API answers at http://127.0.0.1:9" in result.stderr
    assert "`tet up` starts one here" in result.stderr


def test_an_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TET_API_PORT", "eighty")
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 1
    assert "TET_API_PORT=eighty" in result.stderr


def test_the_log_of_a_stage_needs_its_chain(tet: Tet) -> None:
    experiment_id = tet.submit()
    ended = tet("logs", experiment_id, "--stage", 0)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "--stage 0 needs --chain CHAIN too" in ended.stderr
    assert f"`tet show {experiment_id}` lists the chains" in " ".join(ended.stderr.split())


def test_report_writes_files_in_the_form_of_their_names(tet: Tet, tmp_path: Path) -> None:
    experiment_id = tet.submit()
    with tet.database.session() as repository:
        finish_all(repository, experiment_id, {"TET": 0.02})
    printed = tet("report", experiment_id, "--format", "csv")
    assert (printed.exit_code, printed.stdout.splitlines()[0]) == (0, "quantity,unit,T,arm,seed,value")
    assert tet("report", experiment_id).stdout.startswith("<!DOCTYPE html>")
    page, folder = tmp_path / "new" / "report.htm", tmp_path / "figures"
    written = tet("report", experiment_id, "-o", page, "--figures", folder)
    assert (written.exit_code, page.read_text()[:15]) == (0, "<!DOCTYPE html>")
    names = ("differences", "learning-curves", "losses")
    assert sorted(file.name for file in folder.iterdir()) == [
        f"{name}.{form}" for name in names for form in ("png", "svg")
    ]
    assert (folder / "losses.png").read_bytes()[:4] == b"\x89PNG"
    assert str(folder / "losses.png") in written.stderr.replace("\n", "")


def test_follow_writes_the_report_and_the_figures_when_the_experiment_has_ended(tet: Tet, tmp_path: Path) -> None:
    experiment_id = tet.submit()
    with tet.database.session() as repository:
        finish_all(repository, experiment_id, {"TET": 0.02})
    tet.end(experiment_id, ExperimentState.SUCCEEDED)
    folder = tmp_path / "new" / "folder"
    ended = tet("follow", experiment_id, "--report", folder)
    names = ("differences", "learning-curves", "losses")
    assert ended.exit_code == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert [line for line in lines if line.startswith(("Report", "Figure"))] == [
        f"Report   {folder / 'report.html'}",
        *(f"Figure   {folder / 'figures' / f'{name}.svg'}" for name in names),
    ]
    assert sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.*")) == [
        *(f"figures/{name}.{form}" for name in names for form in ("png", "svg")),
        "report.html",
    ]


@pytest.mark.parametrize("command", ["submit", "fork", "rerun-best", "follow"])
def test_a_folder_that_takes_no_report_is_refused_before_anything_runs(tet: Tet, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("")
    experiment_id = tet.submit()
    arguments = {
        "submit": (EXAMPLE, "--follow"),
        "fork": (experiment_id, "--follow"),
        "rerun-best": (experiment_id, "--seeds", "7", "--follow"),
        "follow": (experiment_id,),
    }
    refused = tet(command, *arguments[command], "--report", tmp_path / "file" / "folder")
    assert (refused.exit_code, "cannot write there: Not a directory" in " ".join(refused.stderr.split())) == (1, True)
    assert len(json.loads(tet("list", "--json").stdout)) == 1


def test_a_report_needs_somebody_who_waits_for_the_end(tet: Tet, tmp_path: Path) -> None:
    refused = tet("submit", EXAMPLE, "--report", tmp_path / "folder")
    assert refused.exit_code == 1
    assert "needs --follow: the report is written when the experiment has ended" in " ".join(refused.stderr.split())
    assert not (tmp_path / "folder").exists()


def test_report_refuses_a_file_whose_form_is_unknown_or_that_cannot_be_written(tet: Tet, tmp_path: Path) -> None:
    experiment_id = tet.submit()
    unknown = tet("report", experiment_id, "-o", tmp_path / "report.doc")
    assert (unknown.exit_code, "its ending must be one of .html, .md, .csv" in unknown.stderr.replace("\n", " ")) == (
        1,
        True,
    )
    (tmp_path / "file").write_text("")
    blocked = tet("report", experiment_id, "-o", tmp_path / "file" / "report.md")
    assert (blocked.exit_code, "cannot write" in blocked.stderr) == (1, True)
