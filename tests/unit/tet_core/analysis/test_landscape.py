"""Tests of the loss landscape around a minimum."""

from typing import Any

import pytest
import torch

from tests.unit.tet_core.analysis.training_once import trained
from tet_core import analyse, build_model, load_dataset
from tet_core.analysis.landscape import axis, direction
from tet_core.analysis.subject import Subject
from tet_core.config import Landscape, TrainConfig
from tet_core.errors import ConfigError
from tet_core.measure.evaluation import measure
from tet_core.network import build_network


def records(**fields: Any) -> list[dict[str, Any]]:
    return [dict(record) for row in analyse(trained(), Landscape(**fields)) for record in row.records]


def test_the_centre_equals_the_checkpoint_to_the_last_digit() -> None:
    rows = list(analyse(trained(), Landscape(size=3)))
    centre = rows[1].records[1]
    assert (centre["alpha"], centre["beta"]) == (0.0, 0.0)
    for loss in ("loss_sdt", "loss_tet"):
        assert centre[loss] == trained()["metrics"][f"test/{loss}"]
        assert rows[1].metrics[f"landscape/{loss}_centre"] == trained()["metrics"][f"test/{loss}"]
    assert "landscape/loss_sdt_centre" not in rows[0].metrics


def test_a_point_is_the_network_moved_along_both_directions() -> None:
    found = next(r for r in records(size=3, extent=0.5) if (r["alpha"], r["beta"]) == (0.5, -0.5))
    config = TrainConfig.model_validate(trained()["config"])
    model = build_network(config)
    model.load_state_dict(trained()["model"])
    d1, d2 = direction(model, 5, 1), direction(model, 5, 2)
    moved = {
        name: (tensor.double() + 0.5 * d1[name] - 0.5 * d2[name]).to(tensor.dtype) if name in d1 else tensor
        for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(moved)
    dataset = load_dataset("digits")
    expected = measure(model, dataset, dataset.test, config)
    assert {key: found[key] for key in ("loss_sdt", "loss_tet", "accuracy")} == pytest.approx(
        {key: expected[key] for key in ("loss_sdt", "loss_tet", "accuracy")}, rel=1e-12
    )


def test_sdt_is_at_most_tet_everywhere_on_the_grid() -> None:
    grid = records(size=5)
    assert len(grid) == 25
    assert all(record["loss_sdt"] <= record["loss_tet"] + 1e-12 for record in grid)  # Lemma 4.1
    assert len({record["loss_sdt"] for record in grid}) == 25


def test_each_filter_of_a_direction_has_the_norm_of_the_filter_it_moves() -> None:
    model = build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, width=4)
    found = direction(model, 3, 1)
    weights = {name: weight for name, weight in model.named_parameters() if weight.ndim > 1}
    assert found.keys() == weights.keys()  # neither biases nor the normalisation's weights move
    for name, weight in weights.items():
        torch.testing.assert_close(
            found[name].flatten(1).norm(dim=1), weight.detach().double().flatten(1).norm(dim=1), rtol=1e-12, atol=0
        )


def test_arms_with_one_seed_share_their_draws_and_different_seeds_do_not() -> None:
    models = [build_model("vgg_small", num_classes=10, in_channels=1, input_size=8, width=4) for _ in range(2)]

    def unit(d: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        return [torch.nn.functional.normalize(tensor.flatten(1), dim=1) for tensor in d.values()]

    ours, theirs = (unit(direction(model, 3, 1)) for model in models)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-15)
    for changed in (direction(models[0], 4, 1), direction(models[0], 3, 2)):
        assert all(not torch.allclose(mine, other) for mine, other in zip(ours, unit(changed), strict=True))


def test_a_resumed_landscape_gives_the_missing_rows() -> None:
    landscape = Landscape(size=3, num_samples=50)
    whole, rest = list(analyse(trained(), landscape)), list(analyse(trained(), landscape, done=2))
    assert [row.records for row in rest] == [row.records for row in whole[2:]]


def test_the_network_has_its_own_weights_again_after_every_row() -> None:
    subject = Subject(trained(), None)
    before = {name: tensor.clone() for name, tensor in subject.model.state_dict().items()}
    from tet_core.analysis.landscape import landscape_rows

    for _ in landscape_rows(subject, Landscape(size=3, num_samples=10)):
        assert all(torch.equal(before[name], tensor) for name, tensor in subject.model.state_dict().items())


def test_samples_are_drawn_by_the_seed_from_the_requested_split() -> None:
    subject = Subject(trained(), None)
    dataset = subject.dataset(2)
    few, again = (subject.samples(dataset, "train", 40) for _ in range(2))
    assert torch.equal(few.labels, again.labels)
    assert len(few) == 40
    assert len(set(few.labels.tolist())) == 10
    assert len(subject.samples(dataset, "train", None)) == 1_442
    at_train, at_test = (records(size=3, num_samples=40, split=split)[4]["loss_sdt"] for split in ("train", "test"))
    assert at_train != at_test


def test_more_samples_than_there_are_is_an_error() -> None:
    with pytest.raises(ConfigError, match="num_samples is 1443; the train set of digits has 1442"):
        next(analyse(trained(), Landscape(size=3, split="train", num_samples=1443)))


@pytest.mark.parametrize(("size", "extent"), [(3, 1.0), (21, 0.3), (201, 100.0)])
def test_an_axis_is_symmetric_and_has_an_exact_centre(size: int, extent: float) -> None:
    coordinates = axis(Landscape(size=size, extent=extent))
    assert (len(coordinates), coordinates[0], coordinates[size // 2], coordinates[-1]) == (size, -extent, 0.0, extent)
    assert coordinates == [-x for x in reversed(coordinates)]


def test_a_loss_that_overflows_is_none_in_the_table() -> None:
    grid = records(size=3, extent=100.0)
    assert all(record["loss_sdt"] is None or record["loss_sdt"] >= 0 for record in grid)
