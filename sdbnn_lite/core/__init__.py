"""From the equations to the network, and what its signs say: this is the library to read.

It needs torch (``signs`` and ``record`` NumPy and SciPy too) and nothing else of this package but ``errors``; a file is
loaded when it is first used. Read one after the other; each holds one idea:

    binarize   the sign, and the surrogate gradients that let it learn    https://arxiv.org/abs/1909.10788
    asd        shifts before the sign of an activation: ASD, RSign        https://arxiv.org/abs/2103.02394
    wsd        shifts before the sign of a weight: WSD, balancing         https://arxiv.org/abs/2103.02394
    scaling    factors behind the signs, which can't flip any             https://arxiv.org/abs/1603.05279
    methods    twelve methods as combinations of these parts              https://arxiv.org/abs/2103.02394
    layers     the binary convolution that puts them together             https://arxiv.org/abs/1602.02830
    models     six networks made of it, by ``build``                      https://arxiv.org/abs/1808.00278

    signs      shares of +1, entropy, the sum of n random signs           https://arxiv.org/abs/2103.02394
    record     the signs of a network while it classifies images          https://arxiv.org/abs/2103.02394

All of it in use: SD-BNN learns 8×8 scans of digits, with the settings of the recipe ``digits`` but no augmentation
(97 to 98 % of the test images right, after half a minute on one core):

    import torch
    import torch.nn.functional as F
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sdbnn_lite import build, set_ede
    from sdbnn_lite.core.binarize import ede_schedule

    torch.manual_seed(0)
    x, y = map(torch.tensor, load_digits(return_X_y=True))
    x = x.float().view(-1, 1, 8, 8) / 8 - 1  # 0 … 16 → -1 … 1
    x, test_x, y, test_y = train_test_split(x, y, test_size=360, stratify=y, random_state=0)
    epochs = 40
    net = build("digits_convnet", method="sdbnn")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        set_ede(net, ede_schedule(epoch, epochs, t_min=1e-2, t_max=10.0))
        for batch in torch.randperm(len(x)).split(64):
            loss = F.cross_entropy(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        cosine.step()
    net.eval()
    accuracy = (net(test_x).argmax(1) == test_y).float().mean().item()
    print(f"{accuracy:.1%} of {len(test_y)} test images")

The rest of the package does this for more networks, data sets and machines. One batch of ``sdbnn-lite train`` and what
becomes of it, room by room (no room imports from one further down):

    data       ``data.sets.load`` opens the set; ``data.in_memory.ImageSet.epoch`` shuffles and augments its batches
    core       ``core.models.BinaryNet.forward`` makes logits of a batch, by way of ``core.layers.BinaryConv2d.forward``
    fast       or ``fast.fast_forward`` does, for CIFAR-10's networks on a CPU with AVX-512, AVX2 or NEON
    training   ``training.trainer.Trainer.run_epoch`` sets t and the learning rate and calls, per batch,
               ``training.steps.readable.Step.compute``: loss, gradients, update. ``training.trainer.Trainer.end_epoch``
               scores the test images, records signs; ``training.trainer.Trainer.save`` writes log.csv, signs.csv, state
    analysis   ``analysis.publish.publish_run`` puts the finished run into zoo/ and results/
    plots      ``plots.gallery_cifar10.one`` reads results/ and draws one of the figures
    lessons    ``lessons.notebook.show_result`` shows it in a notebook, with a text for readers who don't see it
"""

from importlib import import_module

__all__ = ["binarize", "asd", "wsd", "scaling", "methods", "layers", "models", "signs", "record"]


def __getattr__(name: str) -> object:
    """A file of this room that is used for the first time (PEP 562): ``methods`` alone needs no torch."""
    if name in __all__:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
