"""Faults that this project could plausibly have, each put into the package by replacing one text by another.

A fault that no test notices is a check that is missing: ``run.py`` makes every mutant in a copy and runs the tests
named beside it, which have to fail. ``old`` stands exactly once in ``file``; whoever changes that line changes it here
too.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """``name``, the ``fault`` in one sentence, what becomes what in which ``file``, and the ``tests`` that notice."""

    name: str
    fault: str
    file: str  # in sdbnn_lite/
    old: str
    new: str
    tests: tuple[str, ...]  # in tests/: files or node ids; few, so that a mutant takes seconds

    @property
    def compiled(self) -> bool:
        """Whether numba compiles the file: then nothing that was compiled before may be used."""
        return self.file.startswith(("fast/", "packed/"))


MUTANTS = (
    # --- the sign, its gradients, the shifts -------------------------------------------------------------------------
    Mutant(
        "sign-of-zero",
        "sign(0) is -1 instead of +1, in torch.",
        "core/binarize.py",
        "return 2 * (x >= 0)",
        "return 2 * (x > 0)",
        ("core/test_binarize.py::test_sign_is_never_zero_and_keeps_dtype_and_shape",),
    ),
    Mutant(
        "sign-of-zero-packed",
        "sign(0) is -1 where the bit-packed network compares 64 activations at once.",
        "packed/tiles.py",
        'builder.fcmp_ordered(">=", builder.fadd(a, b)',
        'builder.fcmp_ordered(">", builder.fadd(a, b)',
        ("packed/test_packed.py::test_convolutions_are_exact",),
    ),
    Mutant(
        "sign-of-zero-fast",
        "sign(0) is -1 in the forward pass of the fast step.",
        "fast/rows.py",
        'shifts[j]).compare(">=", 0.0)',
        'shifts[j]).compare(">", 0.0)',
        ("fast/test_fast.py::test_one_layer",),
    ),
    Mutant(
        "ste-without-clip",
        "The clipped identity passes gradients wherever |x| <= 2, not 1.",
        "core/binarize.py",
        "grad * (x.abs() <= 1)",
        "grad * (x.abs() <= 2)",
        ("core/test_binarize.py::test_gradient_is_autograds_through_the_smooth_curve",),
    ),
    Mutant(
        "ede-k",
        "EDE's k goes below 1 when t > 1, so that the gradient's peak never grows.",
        "core/binarize.py",
        "return max(1 / t, 1.0)",
        "return 1 / t",
        ("core/test_binarize.py::test_k_keeps_the_peak_at_one_until_t_does",),
    ),
    Mutant(
        "ede-schedule",
        "EDE's t reaches t_max in the last epoch, one epoch too early.",
        "core/binarize.py",
        "** (epoch / epochs)",
        "** (epoch / max(epochs - 1, 1))",
        ("core/test_binarize.py::test_schedule_is_evenly_spaced_in_the_logarithm",),
    ),
    Mutant(
        "polynomial-slope",
        "Bi-Real's polynomial gradient falls half as steeply, 2 - |x|.",
        "core/binarize.py",
        "triangle = 2 - 2 * x.abs()",
        "triangle = 2 - x.abs()",
        ("core/test_binarize.py::test_gradient_is_autograds_through_the_smooth_curve",),
    ),
    Mutant(
        "asd-mean-over-batch",
        "ASD's mean runs over the images of the batch too, so that all of them get the same shift.",
        "core/asd.py",
        "self.shift_of(a.mean(dim=(2, 3)))",
        "self.shift_of(a.mean(dim=(0, 2, 3)).expand(len(a), -1))",
        ("core/test_asd.py::test_shift_equals_the_loops",),
    ),
    Mutant(
        "wsd-mean-takes-gradient",
        "WSD's mean isn't detached: the latent weights get a second gradient, through the shift.",
        "core/wsd.py",
        "mean = w.detach().mean(",
        "mean = w.mean(",
        ("core/test_wsd.py::test_the_mean_takes_no_gradient",),
    ),
    Mutant(
        "balance-biased-std",
        "IR-Net's weights are divided by the standard deviation over n, not n - 1.",
        "core/wsd.py",
        "/ max(w[0].numel() - 1, 1)",
        "/ max(w[0].numel(), 1)",
        ("core/test_wsd.py::test_balance_equals_the_loop",),
    ),
    # --- layers and networks -----------------------------------------------------------------------------------------
    Mutant(
        "padding-before-sign",
        "The border is padded before the sign, so that it counts as +1 instead of 0.",
        "core/layers.py",
        "self._conv_forward(a, w, None)",
        "F.conv2d(F.pad(a, (*self.padding,) * 2, value=1.0), w, stride=self.stride)",
        ("core/test_layers.py::test_padding_adds_zero_after_the_sign",),
    ),
    Mutant(
        "shortcut-mean-pool",
        "Option A's shortcut takes the mean of every 2×2 pixels instead of every second pixel.",
        "core/models.py",
        "F.pad(x[:, :, ::2, ::2], ",
        "F.pad(F.avg_pool2d(x, 2), ",
        ("core/test_golden.py",),
    ),
    Mutant(
        "hardtanh-before-shortcut",
        "ResNet-20's second Hardtanh comes before the shortcut's addition.",
        "core/models.py",
        "F.hardtanh(self.bn2(self.conv2(x)) + x)",
        "F.hardtanh(self.bn2(self.conv2(x))) + x",
        ("core/test_golden.py",),
    ),
    # --- bits --------------------------------------------------------------------------------------------------------
    Mutant(
        "packed-int16-border",
        "Sums up to 32,767 are kept in 16 bits, which the threshold above all of them doesn't fit into.",
        "packed/words.py",
        "most < 2**15 - 1 else",
        "most < 2**15 else",
        ("packed/test_sum_type.py",),
    ),
    Mutant(
        "packed-border-correction",
        "The padded taps of a bit-packed convolution are put right by half of what they need.",
        "packed/words.py",
        "[:, :, None] + 2 * outside",
        "[:, :, None] + outside",
        ("packed/test_packed.py::test_borders_of_every_class",),
    ),
    Mutant(
        "zoo-bit-order",
        "Weights are written into the zoo's files with the first one in the lowest bit.",
        "weights/bits.py",
        "np.packbits(positive.flatten().cpu().numpy())",
        'np.packbits(positive.flatten().cpu().numpy(), bitorder="little")',
        ("weights/test_bits.py::test_packing_against_bit_by_bit",),
    ),
    # --- images ------------------------------------------------------------------------------------------------------
    Mutant(
        "normalised-by-another-std",
        "Images are normalised with CIFAR-10's own standard deviations instead of the published training's.",
        "data/base.py",
        "(0.229, 0.224, 0.225)",
        "(0.247, 0.243, 0.261)",
        ("data/test_in_memory.py::test_an_epoch_equals_torchvisions_normalisation",),
    ),
    Mutant(
        "crop-misses-an-edge",
        "The random crop never reaches the padded image's last row.",
        "data/augment.py",
        "top = torch.randint(shifts, (images,), generator=generator)",
        "top = torch.randint(max(shifts - 1, 1), (images,), generator=generator)",
        ("data/test_augment.py::test_every_crop_is_equally_likely",),
    ),
    Mutant(
        "test-images-dropped",
        "A last, smaller batch of test images isn't scored, as in the published code.",
        "data/base.py",
        "batch_size * self.shard[1], drop_lone=False), self.shard)",
        "batch_size * self.shard[1], drop_lone=False)[: self.num_test // batch_size], self.shard)",
        ("data/test_in_memory.py::test_every_test_image_is_scored_in_order",),
    ),
    Mutant(
        "shard-loses-images",
        "Where a batch doesn't divide by the number of processes, the shards lose its last images.",
        "data/base.py",
        "first + images * (place + 1) // shards",
        "first + images * place // shards + images // shards",
        ("data/test_streamed.py::test_every_test_image_is_in_exactly_one_shard",),
    ),
    # --- training ----------------------------------------------------------------------------------------------------
    Mutant(
        "best-epoch",
        "A run reports the best of its epochs on the test set instead of the last one.",
        "training/trainer.py",
        "score = self.end_epoch()",
        "score = max(filter(None, (score, self.end_epoch())), key=lambda score: score.top1)",
        ("training/test_last_epoch.py",),
    ),
    Mutant(
        "resume-order",
        "A resumed epoch draws a new order of its images instead of the one that it began with.",
        "training/trainer.py",
        "self.generator.set_state(self.epoch_start)",
        "self.epoch_start = self.generator.get_state()",
        ("training/test_resume.py::test_ctrl_c_saves_and_resume_is_exact",),
    ),
    Mutant(
        "resume-without-momentum",
        "A resumed run begins with an optimizer that has forgotten its momentum.",
        "training/checkpoint.py",
        'optimizer.load_state_dict({**optimizer.state_dict(), "state": state})',
        'optimizer.load_state_dict({**optimizer.state_dict(), "state": {}})',
        ("training/test_resume.py::test_ctrl_c_saves_and_resume_is_exact",),
    ),
    Mutant(
        "learning-rate-of-the-next-epoch",
        "Every epoch trains with the learning rate of the one after it, though the log says otherwise.",
        "training/trainer.py",
        "set_lr(self.optimizer, recipe.lr_at(now.epoch))",
        "set_lr(self.optimizer, recipe.lr_at(now.epoch + 1))",
        ("training/test_train.py::test_the_loop_is_plain_pytorch",),
    ),
    Mutant(
        "distillation-weaker",
        "The teacher's divergence is a mean over images and classes, a tenth of what it should be.",
        "training/losses.py",
        'reduction="batchmean"',
        'reduction="mean"',
        ("training/test_losses.py::test_divergence_and_its_gradient",),
    ),
    Mutant(
        "average-keeps-old-statistics",
        "The averaged network is scored with batch-norm statistics that belong to the network that learns.",
        "training/averaging.py",
        "        estimate_batch_norm(self.net, batches)",
        "        pass",
        ("training/test_averaging.py::test_refresh_leaves_the_network_alone_and_takes_over_ede",),
    ),
    # --- files -------------------------------------------------------------------------------------------------------
    Mutant(
        "card-not-checked",
        "A damaged weights file is loaded although its SHA-256 isn't the card's.",
        "weights/cards.py",
        'read_bytes())) != card["sha256"]:',
        'read_bytes())) == "":',
        ("weights/test_cards.py::test_a_damaged_file_is_refused_wherever_the_damage_is",),
    ),
    Mutant(
        "pickle-is-run",
        "Code inside a checkpoint of the published trainer runs while it is read.",
        "weights/torch_files.py",
        "weights_only=True)",
        "weights_only=False)",
        ("weights/test_torch_files.py::test_a_file_with_code_is_refused_and_the_code_does_not_run",),
    ),
    Mutant(
        "ede-of-published-weights",
        "Weights of the published code are given the t of the schedule's middle instead of its end.",
        "weights/published.py",
        '10.0 if key.endswith("ede_t") else 1.0',
        '1.0 if key.endswith("ede_t") else 1.0',
        ("core/test_equal_to_published.py::test_every_value_arrives_where_it_belongs",),
    ),
    Mutant(
        "write-not-atomic",
        "A file is written over the old one in place, so that a kill or a full disk leaves half of it.",
        "system/files.py",
        "os.replace(temporary, path)",
        "path.write_bytes(temporary.read_bytes()), temporary.unlink()",
        ("system/test_files.py::test_a_failed_write_keeps_the_old_file",),
    ),
    Mutant(
        "folder-not-locked",
        "Two processes can train in the same folder.",
        "system/locks.py",
        "held.enter_context(FileLock(path, timeout=WAIT, thread_local=False, fallback_to_soft=False))",
        "path.touch()",
        ("system/test_locks.py::test_two_cannot_train_in_one_folder",),
    ),
    # --- numbers that are told ---------------------------------------------------------------------------------------
    Mutant(
        "population-std",
        "The tables' spread over n seeds is divided by n instead of n - 1, which makes it look smaller.",
        "analysis/captions.py",
        'std": values.std()',
        'std": values.std(ddof=0)',
        ("analysis/test_cifar10.py::test_mean_and_spread_are_those_of_the_runs",),
    ),
    Mutant(
        "rank-test-one-order-short",
        "The rank test's p leaves out the observed order, and with it its mirror image.",
        "analysis/rank_test.py",
        "by_chance >= abs(rho) - 1e-9",
        "by_chance > abs(rho) + 1e-9",
        ("analysis/test_rank_test.py::test_a_perfect_order_comes_about_in_two_of_all_orders",),
    ),
    Mutant(
        "entropy-in-nats",
        "The entropy of signs is given in nats instead of bits.",
        "core/signs.py",
        "h = -p * np.log2(p) - (1 - p) * np.log2(1 - p)",
        "h = -p * np.log(p) - (1 - p) * np.log(1 - p)",
        ("core/test_signs.py::test_entropy_and_sign_difference_by_their_definitions",),
    ),
    Mutant(
        "cost-of-a-binary-product",
        "32 binary products count as one operation instead of 64.",
        "cost/count.py",
        "WORD = 64",
        "WORD = 32",
        ("cost/test_count.py::test_the_digits_network_by_hand",),
    ),
)
