"""A packed network among others: a module, copied, pickled, in forked processes and in workers of a loader."""

import copy
import copyreg
import io
import multiprocessing
import pickle

import pytest
import torch
from samples import normal, trained
from torch import nn
from torch.utils.data import DataLoader, Dataset

import sdbnn_lite as sd
from sdbnn_lite.errors import UsageError

FORK = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system doesn't fork")


def own():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), sd.BinaryConv2d(16, 16, 3), nn.Flatten(),
                        nn.Linear(256, 3))  # fmt: skip
    return net.eval(), normal(5, 1, 8, 8)


def made(kind):
    return own() if kind == "own" else trained("digits_convnet", "sdbnn")


KINDS = ("built", "own")


def saved(packed, **options):
    buffer = io.BytesIO()
    torch.save(packed, buffer)
    buffer.seek(0)
    return torch.load(buffer, **options), buffer.getbuffer().nbytes


WAYS = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda packed: pickle.loads(pickle.dumps(packed)),
    "torch.save": lambda packed: saved(packed, weights_only=False)[0],
    "twice": lambda packed: copy.deepcopy(pickle.loads(pickle.dumps(packed))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_copies_give_the_same_bits_and_share_nothing(kind, way, dtype):
    net, images = made(kind)
    net, images = net.to(dtype), images.to(dtype)
    for engine in (None, "numpy"):
        packed = sd.pack(net, engine)
        expected = packed(images)
        again = WAYS[way](packed)
        assert type(again) is type(packed) and again.engine.name == packed.engine.name
        with torch.no_grad():
            for p in packed.parameters():
                p.fill_(0)
        assert torch.equal(again(images), expected) and expected.dtype == dtype


def test_a_pickled_network_is_as_small_as_its_file_and_read_without_running_code():
    net, images = trained("digits_convnet", "sdbnn")
    packed = sd.pack(net)
    again, size = saved(packed, weights_only=True)
    assert torch.equal(again(images), packed(images))
    assert size < sum(4 * p.numel() for p in net.parameters()) / 2


def test_a_pickled_network_that_was_changed_is_refused():
    function, (tensors, about, engine) = copyreg.dispatch_table[sd.packed.PackedNet](sd.pack(made("built")[0]))
    tensors["linear.bias"] += 1
    with pytest.raises(UsageError, match="a pickled network: damaged"):
        function(tensors, about, engine)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_module(kind):
    """In evaluation mode whatever is around it, without anything to train; its state is the network's."""
    net, images = made(kind)
    packed = sd.pack(net)
    expected = packed(images)
    around = nn.Sequential(packed, nn.ReLU()).train()
    assert around.training and not any(m.training for m in packed.modules())
    assert torch.equal(around(images), expected.relu())
    assert not any(p.requires_grad for p in packed.parameters())
    assert {key.removeprefix("net.") for key in packed.state_dict()} == {*net.state_dict()}
    seen = []
    packed.register_forward_hook(lambda module, given, found: seen.append(found))
    assert torch.equal(packed(images), expected) and len(seen) == 1
    assert packed.eval() is packed and packed.to("cpu") is packed and torch.equal(packed(images), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inside", [False, True])
def test_another_state_is_packed_anew(kind, inside):
    net, images = made(kind)
    packed, other = sd.pack(net), copy.deepcopy(net)
    with torch.no_grad():
        for tensor in other.state_dict().values():
            tensor.copy_(1.7 * tensor.flip(0) if tensor.ndim else tensor)
    expected = sd.pack(other)(images)
    assert not torch.equal(packed(images), expected)
    holder = nn.ModuleList([packed]) if inside else packed
    prefix = "0.net." if inside else "net."
    holder.load_state_dict({prefix + key: value for key, value in other.state_dict().items()})
    assert torch.equal(packed(images), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_other_numbers_and_other_devices(kind):
    net, images = made(kind)
    packed, single = sd.pack(net), sd.pack(net)(images)
    assert torch.equal(packed.double()(images.double()), sd.pack(net.double())(images.double()))
    assert torch.equal(packed.float()(images), single)
    assert packed.half()(images).dtype == torch.float32  # what halves become
    before = packed(images)
    with pytest.raises(UsageError, match="packed inference runs on the CPU"):
        packed.to("meta")
    assert torch.equal(packed(images), before)
    with pytest.raises(UsageError, match="which is packed"):
        sd.pack(packed)


def _answer(packed, images, pipe):
    pipe.send(packed(images).tolist())


@FORK
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_process_goes_on(kind, threads):
    """After the parent has called it, with as many threads; a child that is killed or hangs sends nothing."""
    net, images = made(kind)
    torch.set_num_threads(threads)
    packed = sd.pack(net)
    expected = packed(images)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_answer, args=(packed, images, theirs))
    child.start()
    assert ours.poll(100), "the child gave no answer"
    assert torch.equal(torch.tensor(ours.recv()), expected)
    child.join(100)
    assert child.exitcode == 0


class Logits(Dataset):
    def __init__(self, packed, images):
        self.packed, self.images = packed, images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.packed(self.images[i : i + 1])[0]


@FORK
def test_a_loaders_worker_calls_it():
    net, images = trained("digits_convnet", "sdbnn")
    data = Logits(sd.pack(net), images[:4])
    expected = torch.stack([data[i] for i in range(4)])
    loader = DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context="fork", timeout=100)
    assert torch.equal(next(iter(loader)), expected)
