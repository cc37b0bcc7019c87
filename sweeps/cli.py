"""``assay ...``: the front door. Heavy imports wait for the command that needs them."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

import typer

from sweeps import cli_analysis, cli_cluster, cli_run, cli_sweep
from sweeps.console import fail
from sweeps.errors import SpecError
from sweeps.ledger import RunError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Sweeps for deep-learning science: one YAML file asks a question, the report answers it.\n\n"
    "Start with [bold]assay run quickstart[/bold].",
)

COMMANDS: dict[str, dict[str, Callable[..., object]]] = {
    "Ask": {
        "list": cli_sweep.list_all,
        "explain": cli_sweep.explain,
        "check": cli_sweep.check,
        "plan": cli_sweep.plan,
        "schema": cli_sweep.schema,
    },
    "Run": {
        "run": cli_run.run,
        "resume": cli_run.resume,
        "confirm": cli_run.confirm,
        "rerun": cli_run.rerun,
    },
    "Look": {
        "runs": cli_analysis.list_runs,
        "status": cli_analysis.status,
        "watch": cli_analysis.watch,
        "tensorboard": cli_analysis.tensorboard,
        "report": cli_analysis.report,
        "compare": cli_analysis.compare,
        "export": cli_analysis.export,
    },
    "On a cluster": {
        "submit": cli_cluster.submit,
        "attach": cli_cluster.attach,
        "stop": cli_cluster.stop,
        "fetch": cli_cluster.fetch,
        "jobs": cli_cluster.jobs,
    },
}
"""By the panels of the help, in its order."""

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE)
_OPEN = {"submit": {"allow_extra_args": True, "ignore_unknown_options": True}}  # what it does not know is for `run`

for _panel, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, context_settings=_OPEN.get(_name), rich_help_panel=_panel)(_command)
app.add_typer(cli_sweep.new, name="new", rich_help_panel="Ask")
app.command("pack", hidden=True)(cli_cluster.pack)


def main() -> None:
    """Run the command line; what the user got wrong is one line per problem and exit code 2."""
    try:
        app()
    except SpecError as error:
        fail(*str(error).splitlines())
    except _user_errors() as error:
        fail(str(error))
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror}; what the run has is kept, and once this is mended `assay resume` goes on")


def _user_errors() -> tuple[type[Exception], ...]:
    """The errors of this project that speak to the user. Only modules that are loaded can have raised one."""
    names = {
        "trainables.registry": "TrainableError",
        "trainables.config": "ConfigError",
        "analysis.records": "LedgerError",
        "sweeps.study": "SearchError",
        "sweeps.probe": "ProbeError",
        "sweeps.scaffold": "ScaffoldError",
        "sweeps.tensorboard_server": "BoardError",
        "cluster.errors": "NotReady",
        "cluster.jobs": "SubmitError",
        "cluster.pack": "PackError",
    }
    loaded = [getattr(sys.modules[m], name, None) for m, name in names.items() if m in sys.modules]
    return (RunError, *(error for error in loaded if error))


if __name__ == "__main__":
    main()
