"""Pages in, pages out: the same numbers whatever the tiles, the batch, the strips and the memory."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from model.cleaning.cleaner import Cleaner, PumiceCleaner, load_cleaner
from model.cleaning.finish import finished
from model.cleaning.page_view import PageView
from model.cleaning.tiles import Tiles
from model.device import DeviceError, fast_dtype, pick_device
from model.network import autoencoder, forward
from model.network.autoencoder import Autoencoder, AutoencoderConfig, is_large
from model.network.forward import PageNetwork
from model.network.weights import save_weights
from model.page import Pixels
from model.shipped import CLEANER
from tests.model.cleaning.test_stroke_width import written

TINY = AutoencoderConfig(widths=(8, 8, 16), blocks=(2, 1, 2))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def random_network(config: AutoencoderConfig = TINY) -> Autoencoder:
    """A network whose heads and blocks say something: an untrained one says nothing."""
    torch.manual_seed(3)
    model = Autoencoder(config)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.Conv2d) and not layer.weight.any():
                layer.weight.normal_(0, 0.06)
                assert layer.bias is not None
                layer.bias.normal_(0, 0.03)
    return model.eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_weights(random_network(), path)
    return path


@pytest.fixture(scope="module")
def blank_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "blank.safetensors"
    save_weights(Autoencoder(TINY), path)
    return path


def tiles_of(cleaner: Cleaner) -> Tiles:
    assert isinstance(cleaner, PumiceCleaner)
    return cleaner._tiles


def some_page(*shape: int, dtype: type = np.uint8, seed: int = 0) -> Pixels:
    """Noise in blocks of several sizes: stains as well as strokes."""
    rng, page = np.random.default_rng(seed), np.zeros(shape)
    for block in (1, 4, 32):
        grid = rng.random((shape[0] // block + 1, shape[1] // block + 1, *shape[2:]))
        page += grid.repeat(block, 0).repeat(block, 1)[: shape[0], : shape[1]] / 3
    return (page * np.iinfo(dtype).max).astype(dtype)


def farthest(a: Pixels, b: Pixels) -> float:
    """The largest difference, in grey levels of 255."""
    assert a.shape == b.shape and a.dtype == b.dtype
    return float(np.abs(a.astype(np.int64) - b).max()) * 255 / np.iinfo(a.dtype).max


KINDS = [(np.uint8, ()), (np.uint8, (3,)), (np.uint16, ()), (np.uint16, (3,))]


@pytest.fixture(params=[False, True], ids=["small", "large"])
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Pages of any size count as large, or none does."""
    monkeypatch.setattr(autoencoder, "LARGE", 0 if request.param else 1 << 40)
    return bool(request.param)


@pytest.mark.parametrize(("dtype", "channels"), KINDS)
def test_the_result_is_what_the_training_saw(
    weights: Path, dtype: type, channels: tuple[int, ...], large: bool
) -> None:
    page = some_page(90, 71, *channels, dtype=dtype)
    white = np.iinfo(dtype).max
    x = torch.from_numpy(page.reshape(1, 90, 71, -1).astype(np.float32)).permute(0, 3, 1, 2) / white
    stride = TINY.stride(large)
    x = torch.nn.functional.pad(x, (0, -71 % stride, 0, -90 % stride), mode="replicate")
    with torch.no_grad():
        expected = random_network().predicted(x, large).clamp(0, 1) * white
    said = torch.from_numpy(expected[:, :, :90, :71].permute(0, 2, 3, 1).numpy().round().astype(dtype))
    scan = torch.from_numpy(page.reshape(said.shape))
    exact = PageNetwork(random_network(), torch.device("cpu"), torch.float32)
    assert farthest(exact(scan, large).numpy(), said.numpy()) <= 255 / white
    cleaner = load_cleaner(weights, "cpu")
    fast = tiles_of(cleaner).run(scan, large)
    assert farthest(fast.numpy(), said.numpy()) <= 1
    assert farthest(fast.numpy(), scan.numpy()) > 20, "the random network changes something"
    wanted = finished(PageView(scan, TINY.cell(large)), fast).numpy().reshape(page.shape)
    assert np.array_equal(cleaner.clean_parts([page], large)[0], wanted)


NATIVE = fast_dtype(torch.device("cpu")) is torch.bfloat16
BFLOAT16 = pytest.param(
    torch.bfloat16, marks=pytest.mark.skipif(not NATIVE, reason="this CPU doesn't multiply bfloat16")
)


@pytest.mark.parametrize("dtype", [torch.float32, BFLOAT16])
@pytest.mark.usefixtures("large")
def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    page = torch.from_numpy(some_page(301, 83, 3))[None]
    whole = PageNetwork(random_network(), torch.device("cpu"), dtype)(page)
    monkeypatch.setattr(forward, "CELLS", 1)
    strips = PageNetwork(random_network(), torch.device("cpu"), dtype)(page)
    assert int((whole.int() - strips.int()).abs().max()) <= (0 if dtype == torch.float32 else 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("large")
def test_a_tiled_page_equals_the_untiled_one(weights: Path, kind: tuple[type, tuple[int, ...]]) -> None:
    page = some_page(500, 700, *kind[1], dtype=kind[0])
    whole, tiled = load_cleaner(weights, "cpu"), load_cleaner(weights, "cpu", tile=64)
    assert farthest(whole.clean([page])[0], tiled.clean([page])[0]) <= 1


def test_tiles_of_a_large_page_are_seen_as_it_is(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = some_page(300, 700)
    monkeypatch.setattr(autoencoder, "LARGE", 300 * 700)
    assert is_large(300, 700) and not is_large(300, 699)
    whole, tiled = load_cleaner(weights, "cpu"), load_cleaner(weights, "cpu", tile=64)
    cleaned = whole.clean([page])[0]
    assert farthest(cleaned, tiled.clean([page])[0]) <= 1
    monkeypatch.setattr(autoencoder, "LARGE", 300 * 700 + 1)
    assert farthest(cleaned, whole.clean([page])[0]) > 1, "as a small page it would be cleaned otherwise"
    for cleaner in (whole, tiled):
        assert farthest(cleaned, cleaner.clean_parts([page], large=True)[0]) <= 1, "but as a part of one"


@pytest.mark.skipif(not CLEANER.exists(), reason="no weights are shipped yet")
@pytest.mark.parametrize("pen", [16, 24])
@pytest.mark.usefixtures("large")
def test_wide_faint_writing_is_seen_in_larger_cells(pen: int) -> None:
    page, ink = written(pen, ink=150), written(pen, ink=0, paper=255) < 128
    cleaner = load_cleaner(CLEANER, "cpu")
    found, lost = cleaner.clean([page])[0], cleaner.clean_parts([page], large=False)[0]
    assert np.mean(lost[ink] < 128) < 0.1, "in small cells it is taken for a stain"
    assert np.mean(found[ink] < 128) > 0.75
    assert np.mean(found[cv2.dilate(ink.astype(np.uint8), np.ones((9, 9))) == 0] > 250) > 0.95


@pytest.mark.skipif(not CLEANER.exists(), reason="no weights are shipped yet")
@pytest.mark.usefixtures("large")
def test_a_picture_beside_wide_writing_stays_as_it_is() -> None:
    page = np.vstack([written(16, ink=140), np.full((200, 480), 190, np.uint8)])
    page[500:660, 60:420] = np.linspace(40, 150, 360).astype(np.uint8)
    assert np.array_equal(
        load_cleaner(CLEANER, "cpu").clean([page])[0][502:658, 62:418], page[502:658, 62:418]
    )


@pytest.mark.usefixtures("large")
def test_pages_with_wide_writing_are_as_they_are_alone(weights: Path) -> None:
    pages = [written(pen)[:, :, None].repeat(3, 2) for pen in (16, 4, 24, 5)]
    cleaner, tiled = load_cleaner(weights, "cpu"), load_cleaner(weights, "cpu", tile=64)
    alone = [cleaner.clean([page])[0] for page in pages]
    tiles_of(cleaner)._batches = True  # as on a GPU
    for page, one, other in zip(pages, alone, cleaner.clean(pages), strict=True):
        assert np.array_equal(one, other)
        assert farthest(one, tiled.clean([page])[0]) <= 1


def test_a_network_of_one_size_of_cells_sees_all_pages_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    network = PageNetwork(
        random_network(AutoencoderConfig((2,), (8, 8), (1, 1))), torch.device("cpu"), torch.float32
    )
    page = torch.from_numpy(some_page(61, 40))[None, ..., None]
    small = network(page)
    monkeypatch.setattr(autoencoder, "LARGE", 0)
    assert torch.equal(network(page), small)


def test_a_tiled_page_equals_the_untiled_one_at_full_depth(tmp_path: Path) -> None:
    save_weights(random_network(AutoencoderConfig()), tmp_path / "deep.safetensors")
    _compare_tiles(tmp_path / "deep.safetensors")


@pytest.mark.skipif(not CLEANER.exists(), reason="no weights are shipped yet")
def test_a_tiled_page_equals_the_untiled_one_with_the_shipped_weights() -> None:
    _compare_tiles(CLEANER)


def _compare_tiles(path: Path) -> None:
    page = some_page(900, 1100)
    whole, tiled = load_cleaner(path, "cpu"), load_cleaner(path, "cpu", tile=256)
    assert farthest(whole.clean([page])[0], tiled.clean([page])[0]) <= 1


@pytest.mark.parametrize("large", [False, True])
def test_the_reach_is_no_promise_too_much(large: bool) -> None:
    model = random_network().double()
    stride, reach = TINY.stride(large), TINY.reach(large)
    page = torch.rand(1, 1, 30 * stride, 30 * stride, dtype=torch.float64)
    other = page.clone()
    row = 15 * stride
    other[..., row, row] = 0
    before, after = (model.predicted(one, large).clamp(0, 1) for one in (page, other))
    changed = (before - after)[0, 0].abs() > 0
    rows, columns = (torch.nonzero(changed.any(axis)).flatten() for axis in (1, 0))
    assert row - reach <= int(rows.min()) and int(rows.max()) <= row + reach
    assert row - reach <= int(columns.min()) and int(columns.max()) <= row + reach


def test_a_strip_may_be_all_padding() -> None:
    whole, strips = (PageNetwork(random_network(), torch.device("cpu"), torch.float32) for _ in range(2))
    strips._cells = 18 * 24  # strips of 18 cells, 36 rows of a page: no multiple of the stride
    for height in range(33, 41):
        page = torch.from_numpy(some_page(height, 48)[None, ..., None])
        assert torch.equal(whole(page), strips(page)), height


def test_other_pages_of_the_batch_make_no_difference(weights: Path) -> None:
    pages = [some_page(75, 60, seed=seed) for seed in range(5)]
    cleaner = load_cleaner(weights, "cpu")
    together, reversed_ = cleaner.clean(pages), cleaner.clean(pages[::-1])
    for page, one, two in zip(pages, together, reversed_[::-1], strict=True):
        alone = cleaner.clean([page])[0]
        assert np.array_equal(alone, one) and np.array_equal(alone, two)


SIZES = [(1, 1), (1, 2), (2, 1), (7, 3), (1, 900), (900, 1), (32, 32), (33, 31), (257, 5)]


@pytest.mark.parametrize(("dtype", "channels"), KINDS)
def test_any_size_goes_in_and_comes_out(
    weights: Path, blank_weights: Path, dtype: type, channels: tuple[int, ...]
) -> None:
    busy, idle = load_cleaner(weights, "cpu", tile=256), load_cleaner(blank_weights, "cpu", tile=256)
    for size in SIZES:
        page = some_page(*size, *channels, dtype=dtype)
        result = busy.clean([page])[0]
        assert result.shape == page.shape and result.dtype == page.dtype
        assert np.array_equal(idle.clean([page])[0], page)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_untrained_network_changes_no_bit(blank_weights: Path, dtype: type) -> None:
    white = np.iinfo(dtype).max
    every_grey = np.arange(white + 1, dtype=dtype).reshape(-1, 64)
    paper = np.full((300, 200, 3), white, dtype)
    cleaner = load_cleaner(blank_weights, "cpu")
    assert np.array_equal(cleaner.clean([every_grey])[0], every_grey)
    assert np.array_equal(cleaner.clean([paper])[0], paper)


def test_pages_may_be_views_and_read_only(weights: Path) -> None:
    page = some_page(64, 48, 3)
    view = page[::-1, ::2]
    view.flags.writeable = False
    before = page.copy()
    cleaner = load_cleaner(weights, "cpu")
    assert np.array_equal(cleaner.clean([view])[0], cleaner.clean([view.copy()])[0])
    assert np.array_equal(page, before)


def short_of_memory(monkeypatch: pytest.MonkeyPatch, cleaner: Cleaner, most: int) -> None:
    """Let a forward pass of more than `most` pixels fail as CUDA does."""
    tiles = tiles_of(cleaner)
    real = tiles._network

    def limited(pages: torch.Tensor, large: bool | None = None) -> torch.Tensor:
        if pages[..., 0].numel() > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(pages, large)

    monkeypatch.setattr(tiles, "_network", limited)


def test_out_of_memory_halves_tiles_for_this_process_only(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = some_page(1500, 900)
    wanted = load_cleaner(weights, "cpu").clean([page])[0]
    cleaner = load_cleaner(weights, "cpu")
    short_of_memory(monkeypatch, cleaner, (512 + 2 * TINY.reach(False)) ** 2)
    assert farthest(cleaner.clean([page])[0], wanted) <= 1
    assert tiles_of(cleaner).tile == 512
    assert cleaner.clean([page])[0].shape == page.shape
    assert tiles_of(cleaner).tile == 512, "what fits once fits again"
    assert tiles_of(load_cleaner(weights, "cpu")).tile == 4096


def test_out_of_memory_halves_batches_before_tiles(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [some_page(100, 90, seed=seed) for seed in range(5)]
    cleaner = load_cleaner(weights, "cpu")
    wanted = [cleaner.clean([page])[0] for page in pages]
    tiles_of(cleaner)._batches = True  # as on a GPU
    short_of_memory(monkeypatch, cleaner, 2 * 100 * 90)
    got = cleaner.clean(pages)
    assert all(farthest(a, b) <= 1 for a, b in zip(got, wanted, strict=True))
    assert tiles_of(cleaner).tile == 4096


def test_too_little_memory_for_the_smallest_tile(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaner = load_cleaner(weights, "cpu")
    short_of_memory(monkeypatch, cleaner, 1000)
    with pytest.raises(DeviceError, match="too little free memory"):
        cleaner.clean([some_page(300, 300)])


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(DeviceError, match="--device auto or cpu"):
        pick_device("cuda")
