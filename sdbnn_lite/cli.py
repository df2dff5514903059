# PYTHON_ARGCOMPLETE_OK
"""The command ``sdbnn-lite`` (= ``python -m sdbnn_lite``): which commands there are. Each stands in ``commands``."""

import argparse
import os
import shlex
import sys
from contextlib import nullcontext, suppress

from .commands import converting, listing, measuring, predicting, publishing, scoring, searching, training
from .commands.options import add_to
from .errors import RunError, UsageError
from .system.interrupt import ended_politely, stop_code
from .system.terminal import heard
from .version import __version__

DESCRIPTION = """\
Self-Distribution Binary Neural Networks: learn, test and reproduce them.

New here?    sdbnn-lite walkthrough      everything on embedded images, about five minutes
Train one:   sdbnn-lite train digits     under a minute on a laptop
What else?   sdbnn-lite list             recipes, networks, methods, trained networks, data sets
Tab key:     pip install argcomplete     and in each shell: eval "$(register-python-argcomplete sdbnn-lite)"
"""

COMMANDS = (publishing.run_walkthrough, training.run_train, training.run_study, searching.run_search,
            publishing.run_plot, listing.run_list, scoring.run_evaluate, predicting.run_predict,
            converting.run_pack_images, measuring.run_cost, publishing.run_publish, converting.run_import_original,
            converting.run_export_onnx, publishing.run_figures, measuring.run_bench)  # fmt: skip
RESUMABLE = ("study", "search", "walkthrough", "pack-images")  # started again, these keep what is done


class Parser(argparse.ArgumentParser):
    """Wrong use is one line and exit code 2."""

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class ShowVersion(argparse.Action):
    """Prints the versions of this package, of Python and of torch, which isn't loaded for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version
        print(f"sdbnn-lite {__version__} (Python {sys.version.split()[0]}, torch {version('torch')})")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """Every command with its options; ``args.run`` is the function that does it."""
    parser = Parser("sdbnn-lite", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="show versions and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for run in COMMANDS:
        add_to(commands, run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 (a run failed, a disk is full), 2 (wrong use), 130, 143, 129
    (stopped by Ctrl-C, SIGTERM, SIGHUP), 141 (all is done, but who read its output had gone).
    """
    polite = nullcontext() if "RANK" in os.environ else ended_politely()  # torchrun's processes wait for each other
    with heard() as out, polite:
        try:
            code = run_command(sys.argv[1:] if argv is None else argv)
        except SystemExit as stop:  # argparse has said all
            code = stop.code
    if out.lost and not isinstance(out.lost, BrokenPipeError):
        print(f"sdbnn-lite: the output can't be written ({out.lost.strerror})", file=sys.stderr)
    return code or (0 if out.lost is None else 141 if isinstance(out.lost, BrokenPipeError) else 1)


def run_command(argv: list[str]) -> int:
    """The exit code of the command, all its messages said."""
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what may come next
        with suppress(ImportError):
            import argcomplete
            argcomplete.autocomplete(parser, default_completer=listing.names)
    args = parser.parse_args(argv)
    args.typed = shlex.join(["sdbnn-lite", *argv])
    try:
        return args.run(args) or 0
    except (UsageError, RunError, OSError) as error:
        rank = int(os.environ.get("RANK", 0))  # of several processes, one prints what holds for all
        if rank == 0 or not getattr(error, "everywhere", False):
            which = f"process {rank}: " if rank else ""
            print(f"sdbnn-lite {args.command}: {which}{error}", file=sys.stderr, flush=True)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        more = "; the same command resumes where it stopped" if args.command in RESUMABLE else ""
        print(f"sdbnn-lite {args.command}: stopped{more}", file=sys.stderr)
        return stop_code()
