"""The article's network: a network like ours in the hands of weights, cleaner and training."""

from pathlib import Path

import numpy as np
import torch

from model.cleaning.cleaner import load_cleaner
from model.network.article import ArticleConfig, ArticleNetwork
from model.network.weights import load_weights, save_weights
from model.page import Pair
from model.training.cleaner_learner import CleanerSettings
from model.training.cleaner_samples import Patches
from model.training.cleaner_train import train

TINY = ArticleConfig(width=4)


def random_network() -> ArticleNetwork:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return ArticleNetwork(TINY).eval()


def test_it_is_the_articles_three_layers() -> None:
    shapes = [tuple(p.shape) for p in ArticleNetwork().parameters()]
    assert shapes == [(64, 1, 3, 3), (64,), (64, 64, 3, 3), (64,), (1, 64, 3, 3), (1,)]


def test_its_weights_come_back_and_clean_pages(tmp_path: Path) -> None:
    network = random_network()
    save_weights(network, tmp_path / "article.safetensors")
    assert isinstance(load_weights(tmp_path / "article.safetensors"), ArticleNetwork)
    page = np.random.default_rng(0).integers(0, 256, (31, 45), np.uint8)
    cleaned = load_cleaner(tmp_path / "article.safetensors", "cpu").clean([page])[0]
    x = torch.from_numpy(np.pad(page, ((0, 1), (0, 1)), mode="edge")).float()[None, None] / 255
    with torch.inference_mode():
        wanted = (network(x)[0, 0, :31, :45] * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(cleaned, wanted)


def test_colour_is_cleaned_by_channel() -> None:
    x = torch.rand(2, 3, 8, 8)
    network = random_network()
    with torch.inference_mode():
        assert torch.equal(network(x)[:, 1:2], network(x[:, 1:2]))


def test_the_reach_holds() -> None:
    page = torch.rand(1, 1, 60, 60, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(random_network().double()(page)[0, 0, 31, 30], page)
    rows, columns = torch.nonzero(gradient[0, 0], as_tuple=True)
    reach = TINY.reach(False)
    for where, centre in ((rows, 31), (columns, 30)):
        assert centre - reach <= int(where.min()) and int(where.max()) <= centre + reach


def test_the_same_training_teaches_it(tmp_path: Path) -> None:
    clean = (
        np.where(np.random.default_rng(0).random((64, 64)) < 0.2, 0, 255)
        .astype(np.uint8)
        .repeat(5, 0)
        .repeat(5, 1)
    )
    data = Patches([Pair("one", (clean * 0.5 + 20).astype(np.uint8), clean)], [], seed=4)
    weights = train(data, CleanerSettings(steps=3, network=TINY), tmp_path)
    assert isinstance(load_weights(weights), ArticleNetwork)
