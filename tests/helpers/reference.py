"""The binary layer and the published networks again, naively: what the package's tests compare with.

Nothing here imports sdbnn_lite. Signs get their gradient by the detach trick, from autograd through the smooth curve
that each pseudo-derivative is the derivative of; convolutions of a layer are loops over output pixels and taps. The
networks take a state dict in the *published* names, and are themselves checked against the golden files.
"""

import torch
import torch.nn.functional as F

# ------------------------------------------------------------------------------------------------- signs and gradients


def ste_curve(x):
    """Clipped identity; autograd's slope is 1 on [-1, 1] with both ends, as the estimator's."""
    return torch.where(x.abs() <= 1, x, x.detach().sign())


def polynomial_curve(x):
    """Bi-Real Net's piecewise quadratic approximation of the sign."""
    middle = torch.where(x < 0, 2 * x + x * x, 2 * x - x * x)
    return torch.where(x < -1, -torch.ones_like(x), torch.where(x < 1, middle, torch.ones_like(x)))


def ede_curve(k, t):
    """IR-Net's k·tanh(t·x)."""
    return lambda x: k * torch.tanh(t * x)


def signs_by_loop(x):
    """±1 for every value, in a Python loop; 0 and -0 give +1."""
    values = [-1.0 if v < 0 else 1.0 for v in x.detach().flatten().tolist()]
    return torch.tensor(values, dtype=x.dtype).reshape(x.shape)


def sign_through(x, curve):
    """Forward ±1; backward the derivative of the smooth ``curve``, found by autograd."""
    signs = torch.ones_like(x)
    signs[x.detach() < 0] = -1
    smooth = curve(x)
    return signs + (smooth - smooth.detach())


# ---------------------------------------------------------------------------------------------------- the binary layer


def conv_loops(a, w, stride=1, padding=1):
    """y[n, o, i, j] = Σ a·w over the taps that lie inside the image: one outside is skipped, so padding adds 0."""
    (n, _, height, width), (o, _, kh, kw) = a.shape, w.shape
    rows, columns = (height + 2 * padding - kh) // stride + 1, (width + 2 * padding - kw) // stride + 1
    pixels = []
    for i in range(rows):
        for j in range(columns):
            total = a.new_zeros(n, o)
            for u in range(kh):
                for v in range(kw):
                    y, x = i * stride + u - padding, j * stride + v - padding
                    if 0 <= y < height and 0 <= x < width:
                        total = total + a[:, :, y, x] @ w[:, :, u, v].T
            pixels.append(total)
    return torch.stack(pixels, dim=2).reshape(n, o, rows, columns)


def per_filter(values, filters):
    """One value per filter, (O,), from a function of one filter, shaped to multiply (O, C, k, k)."""
    return torch.stack([values(f) for f in filters])[:, None, None, None]


def mean_of(f):
    return f.sum() / f.numel()


def std_of(f):
    return ((f - mean_of(f)).square().sum() / (f.numel() - 1)).sqrt()


def naive_binary_conv(method, a, p, *, k, t, stride=1, padding=1, imagenet=False, real_weights=False):
    """One binary convolution of ``method``; ``p`` holds its parameters by their name in the package's layer."""
    w = p["weight"]
    if method == "float":
        return conv_loops(a, w, stride, padding)

    ede = ede_curve(k, t)
    if method == "irnet":
        activation, weight = ede, ede
    elif method in ("ede", "rsign", "asd", "asd_tanh", "wsd", "sdbnn"):
        activation, weight = (polynomial_curve, ste_curve) if imagenet else (ede, ede)
    elif method == "bireal":
        activation, weight = polynomial_curve, ste_curve
    else:
        activation, weight = ste_curve, ste_curve

    if method in ("asd", "asd_tanh", "sdbnn"):
        means = a.sum(dim=(2, 3)) / (a.shape[2] * a.shape[3])
        hidden = means @ p["asd.squeeze.weight"].T
        hidden = hidden * (hidden > 0)
        grown = torch.exp(-(hidden @ p["asd.expand.weight"].T))
        shift = (1 - grown**2) / (1 + grown**2) if method == "asd_tanh" else 1 / (1 + grown)
        a = a + shift[:, :, None, None]
    if method == "rsign":
        a = a + p["rsign.beta"].reshape(1, -1, 1, 1)
    a = sign_through(a, activation)
    if real_weights:
        return conv_loops(a, w, stride, padding)

    latent = w
    if method in ("wsd", "sdbnn"):
        share = 1 / (1 + torch.exp(-p["wsd.alpha"]))
        latent = w + 0.01 * share.reshape(-1, 1, 1, 1) * per_filter(mean_of, w.detach())
    if method == "irnet":
        latent = (w - per_filter(mean_of, w)) / per_filter(std_of, w)
    y = conv_loops(a, sign_through(latent, weight), stride, padding)

    if method == "xnor":
        y = y * per_filter(lambda f: mean_of(f.abs()), w).reshape(1, -1, 1, 1)
    if method == "xnor_pp":
        y = y * p["learned_scale.factor"].abs().reshape(1, -1, 1, 1)
    if method == "irnet":
        exponent = per_filter(lambda f: mean_of(f.abs()), latent.detach()).log2().round()
        y = y * (2**exponent).reshape(1, -1, 1, 1)
    return y


# ---------------------------------------------------------------------------------------------- the published networks


def batch_norm(s, name, x, train):
    running = s[f"{name}.running_mean"].clone(), s[f"{name}.running_var"].clone()
    return F.batch_norm(x, *running, s[f"{name}.weight"], s[f"{name}.bias"], training=train)


def asd(a, w1, w2, tanh=False):
    expanded = F.linear(F.relu(F.linear(a.flatten(2).mean(2), w1)), w2)
    return a + (torch.tanh(expanded) if tanh else torch.sigmoid(expanded)).unflatten(1, (-1, 1, 1))


def wsd(w, alpha):
    return w + torch.sigmoid(alpha).reshape(-1, 1, 1, 1) * (0.01 * w.detach().flatten(1).mean(1).reshape(-1, 1, 1, 1))


def cifar_conv(s, name, x, stride, curve):
    a = asd(x, s[f"{name}.dybeta.fc.0.weight"], s[f"{name}.dybeta.fc.2.weight"])
    w = wsd(s[f"{name}.weight"], s[f"{name}.alpha"])
    return F.conv2d(F.pad(sign_through(a, curve), (1, 1, 1, 1)), sign_through(w, curve), stride=stride)


def cifar10_resnet20(s, x, train, k, t):
    curve = ede_curve(k, t)
    x = F.hardtanh(batch_norm(s, "bn1", F.conv2d(x, s["conv1.weight"], padding=1), train))
    for stage in (1, 2, 3):
        for block in (0, 1, 2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = batch_norm(s, f"{name}.bn1", cifar_conv(s, f"{name}.conv1", x, stride, curve), train)
            if stride == 2:  # option A: half of the new channels are zeros, a quarter on either side
                x = x[:, :, ::2, ::2]
                nothing = x.new_zeros(x.shape[0], x.shape[1] // 2, *x.shape[2:])
                x = torch.cat([nothing, x, nothing], dim=1)
            x = F.hardtanh(x + y)
            x = F.hardtanh(x + batch_norm(s, f"{name}.bn2", cifar_conv(s, f"{name}.conv2", x, 1, curve), train))
    x = batch_norm(s, "bn2", F.adaptive_avg_pool2d(x, 1).flatten(1), train)
    return F.linear(x, s["linear.weight"], s["linear.bias"])


def cifar10_resnet18(s, x, train, k, t):
    curve = ede_curve(k, t)
    x = F.hardtanh(batch_norm(s, "bn1", F.conv2d(x, s["conv1.weight"], padding=1), train))
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = F.hardtanh(batch_norm(s, f"{name}.bn1", cifar_conv(s, f"{name}.conv1", x, stride, curve), train))
            y = batch_norm(s, f"{name}.bn2", cifar_conv(s, f"{name}.conv2", y, 1, curve), train)
            if stride == 2:
                x = F.conv2d(x, s[f"{name}.shortcut.0.weight"], stride=2)
                x = batch_norm(s, f"{name}.shortcut.1", x, train)
            x = F.hardtanh(x + y)
    x = batch_norm(s, "bn2", F.adaptive_avg_pool2d(x, 1).flatten(1), train)
    return F.linear(x, s["linear.weight"], s["linear.bias"])


def cifar10_vgg_small(s, x, train, k, t):
    x = F.hardtanh(batch_norm(s, "bn0", F.conv2d(x, s["conv0.weight"], padding=1), train))
    for i in (1, 2, 3, 4, 5):
        x = cifar_conv(s, f"conv{i}", x, 1, ede_curve(k, t))
        if i in (1, 3, 5):
            x = F.max_pool2d(x, kernel_size=2)
        x = F.hardtanh(batch_norm(s, f"bn{i}", x, train))
    return F.linear(x.reshape(len(x), -1), s["fc.weight"], s["fc.bias"])


def imagenet(s, x, train, stage):
    """Either depth: the blocks are counted in the state dict."""
    x = batch_norm(s, "bn1", F.conv2d(x, s["conv1.weight"], stride=2, padding=3), train)
    x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
    for layer in (1, 2, 3, 4):
        block = 0
        while (name := f"layer{layer}.{block}") + ".prelu.weight" in s:
            stride = 2 if layer > 1 and block == 0 else 1
            conv = f"{name}.binary_conv"
            a = asd(x, s[f"{conv}.beta.fc.0.weight"], s[f"{conv}.beta.fc.2.weight"])
            w = s[f"{conv}.weights"].reshape(-1, x.shape[1], 3, 3)
            if stage == 2:
                w = sign_through(wsd(w, s[f"{conv}.alpha"]), ste_curve)
            y = F.conv2d(F.pad(sign_through(a, polynomial_curve), (1, 1, 1, 1)), w, stride=stride)
            y = batch_norm(s, f"{name}.bn1", y, train)
            if stride == 2:
                x = F.conv2d(F.avg_pool2d(x, 2), s[f"{name}.downsample.1.weight"])
                x = batch_norm(s, f"{name}.downsample.2", x, train)
            x = F.prelu(x + y, s[f"{name}.prelu.weight"])
            block += 1
    return F.linear(F.adaptive_avg_pool2d(x, 1).flatten(1), s["fc.weight"], s["fc.bias"])


def published_forward(network, s, x, *, train, k=1.0, t=1.0, stage=2):
    """Logits of the published network called ``network``; the running statistics in ``s`` stay as they are."""
    if network.startswith("imagenet"):
        return imagenet(s, x, train, stage)
    forward = {f.__name__: f for f in (cifar10_resnet20, cifar10_resnet18, cifar10_vgg_small)}[network]
    return forward(s, x, train, k, t)


def published_name(ours, network):
    """What the published code calls our parameter ``ours``: weights.published's map, written backwards by hand."""
    head, *rest = ours.split(".")
    if network == "cifar10_vgg_small":
        if head == "convs":
            head = f"conv{int(rest.pop(0)) + 1}"
        elif head == "bns":
            head = f"bn{rest.pop(0)}"
        else:
            head = {"conv1": "conv0", "linear": "fc"}[head]
    elif head == "layers":
        head = f"layer{int(rest[0]) + 1}.{rest[1]}"
        rest = rest[2:]
        if network.startswith("imagenet"):
            rest[0] = {"conv": "binary_conv", "bn": "bn1", "shortcut": "downsample"}.get(rest[0], rest[0])
            rest[-1] = "weights" if rest == ["binary_conv", "weight"] else rest[-1]
    elif head == "linear" and network.startswith("imagenet"):
        head = "fc"
    gate = "beta" if network.startswith("imagenet") else "dybeta"
    tail = ".".join(rest).replace("wsd.alpha", "alpha")
    tail = tail.replace("asd.squeeze", f"{gate}.fc.0").replace("asd.expand", f"{gate}.fc.2")
    return f"{head}.{tail}"


def published_shapes(state, network):
    """{published name: shape} of a file that the published code would have written for our state dict ``state``."""
    shapes = {}
    for ours, tensor in state.items():
        if not ours.endswith((".ede_k", ".ede_t")):
            name = published_name(ours, network)
            shapes[name] = [tensor.numel(), 1] if name.endswith(".weights") else list(tensor.shape)
    return shapes


# ------------------------------------------------------------------------------------------------------ the digits net


def digits_convnet(method, s, x, train, k=1.0, t=1.0):
    """Ours for the digits, by our own names: real, binary + pooling, binary + pooling, linear."""
    x = F.hardtanh(batch_norm(s, "bn1", conv_loops(x, s["conv1.weight"]), train))
    for i in (2, 3):
        p = {name.removeprefix(f"conv{i}."): value for name, value in s.items() if name.startswith(f"conv{i}.")}
        x = F.max_pool2d(naive_binary_conv(method, x, p, k=k, t=t), kernel_size=2)
        x = F.hardtanh(batch_norm(s, f"bn{i}", x, train))
    return F.linear(x.reshape(len(x), -1), s["linear.weight"], s["linear.bias"])


# --------------------------------------------------------------------------------------------------------- comparisons


def assert_close(ours, theirs, tolerance, name=""):
    """max |ours - theirs| <= tolerance · max |theirs|."""
    assert ours.shape == theirs.shape, name
    error, size = float((ours - theirs).abs().max()), float(theirs.abs().max())
    assert error <= tolerance * size, f"{name}: {error} of {size}"
