"""The command line itself: names, options and help. Each command imports what it needs when it runs."""

# ruff: noqa: PLC0415 - `watcherd --version` must not load a speech client

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from watcherd import __version__
from watcherd.cli import completing

app = typer.Typer(
    name="watcherd",
    help="Watch inbox folders; translate the speech of new audio and video files into English subtitles.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration file. Default: ./watcherd.yaml, $XDG_CONFIG_HOME/watcherd/config.yaml,"
        " /etc/watcherd/config.yaml, the first that exists.",
        show_default=False,
    ),
]

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="An endpoint or an inbox; endpoint:NAME or inbox:NAME where both have the name.",
        autocompletion=completing.targets,
    ),
]


def _level(text: str | None) -> str | None:
    if text is not None and text.lower() not in completing.LEVELS:
        raise typer.BadParameter(f"{text!r} is none; choose from {', '.join(completing.LEVELS)}")
    return None if text is None else text.lower()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"watcherd {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if not sys.platform.startswith("linux"):
        typer.echo("watcherd runs on Linux only: it needs inotify, file leases and renameat2.", err=True)
        raise typer.Exit(2)


@app.command()
def run(
    config: ConfigOption = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Process what is there, then exit: 0 all done, 1 some failed, 75 some still waiting.",
        ),
    ] = False,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level",
            metavar="LEVEL",
            callback=_level,
            autocompletion=completing.levels,
            help="debug, info, warning or error, whatever the file says, also after a reload.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the daemon in the foreground. Ctrl-C or SIGTERM stops it in order, a second one at once."""
    from watcherd.cli.run import run as command

    raise typer.Exit(command(config, once=once, log_level=log_level))


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the configuration file, the folders and the endpoints."""
    from watcherd.cli.check import check as command

    raise typer.Exit(command(config))


@app.command()
def plan(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Files and folders in an inbox. Default: all inboxes.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="List what is left alone, too, instead of counting it.")
    ] = False,
) -> None:
    """Show what would become of files, and what it would cost. Nothing is written, nothing is sent.

    What the journal has answered for the same content is not sent again, and asks for no request. Where a
    file is longer than one request may be, the number of its parts is what speech with usual pauses makes;
    the exact cuts are known only once the audio was listened to, and silent parts are not sent.

    The JSON is a list of objects: inbox, file (relative to the inbox), verdict (translate, open job, not yet,
    would fail, left alone), rule (why, in words), endpoint, sent_as (original, flac, opus, mp3, nothing),
    seconds, parts, requests, and folder and names of what would be delivered. What is not known is null.
    """
    from watcherd.cli.plan import plan as command

    raise typer.Exit(command(config, files or [], as_json=as_json, everything=everything))


@app.command(short_help="Tell what watcherd makes of a file, and why.")
def why(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A path in an inbox, or in done or failed; its report or sidecar do as well."
        ),
    ],
    config: ConfigOption = None,
) -> None:
    """Tell what watcherd makes of a file: every rule in order, what happened to it, and what comes next."""
    from watcherd.cli.why import why as command

    raise typer.Exit(command(config, file))


@app.command()
def status(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            "-f",
            help="Go on: live on a terminal; elsewhere, and with --json (an object a line), at each change."
            " Ctrl-C ends it; 69 without a daemon, or when that has been gone for a minute.",
        ),
    ] = False,
) -> None:
    """Show what the daemon has done, is doing and will do.

    Without a daemon it shows what its journal holds. The JSON has version, at, daemon (state, pid, rejected),
    inboxes (state, since, text, hint, arriving, jobs: a count for each state), endpoints (state, reason,
    since, until, in_flight, concurrency, minutes_today), in_flight, waiting and recent (job, inbox, file,
    state, reason, until, changed_at, attempts, parts (answered, known, all_known), fault, warnings; at most
    100 each). Times are UTC; the control socket serves the same as GET /api/v1/status, described in
    /api/v1/openapi.json.
    """
    if follow:
        from watcherd.cli.follow import follow as following

        raise typer.Exit(following(config, as_json=as_json))
    from watcherd.cli.status import status as command

    raise typer.Exit(command(config, as_json=as_json))


@app.command(short_help="Have failed files go round again.")
def retry(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Failed files, their reports, or the paths that they had in the inbox.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every failed file of every inbox.")] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Send them again, even if they were answered before (and paid for)."),
    ] = False,
) -> None:
    """Move failed files back into their inboxes, where they go round again.

    What was answered for them before is reused. Nothing is replaced: a name that is taken gets a number.
    """
    from watcherd.cli.steer import retry as command

    raise typer.Exit(command(config, files or [], everything=everything, fresh=fresh))


@app.command(short_help="Pause an endpoint or an inbox.")
def pause(name: TargetArgument, config: ConfigOption = None) -> None:
    """Pause an endpoint or an inbox until it is resumed, over restarts too.

    Of a paused endpoint nothing is sent, of a paused inbox nothing begins; what is under way is finished.
    """
    from watcherd.cli.steer import pause as command

    raise typer.Exit(command(config, name))


@app.command()
def resume(name: TargetArgument, config: ConfigOption = None) -> None:
    """End a pause, also one that a fault of the endpoint caused."""
    from watcherd.cli.steer import resume as command

    raise typer.Exit(command(config, name))


@app.command()
def translate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Audio or video files.")],
    config: ConfigOption = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completing.endpoints,
            help="Endpoint to use. Default: the configuration's default, or the embedded one without a file.",
            show_default=False,
        ),
    ] = None,
    to_stdout: Annotated[
        str | None,
        typer.Option(
            "--stdout",
            metavar="FORMAT",
            autocompletion=completing.formats,
            help="Print srt, vtt, txt, lrc, json or podcast-json instead of writing sidecars.",
        ),
    ] = None,
    prompt: Annotated[str, typer.Option(help="Names and jargon, in English.")] = "",
) -> None:
    """Translate files now; each stays where it is."""
    from watcherd.cli.translate import translate as command

    raise typer.Exit(command(files, config, endpoint=endpoint, to_stdout=to_stdout, prompt=prompt))


@app.command()
def demo(
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the demo's folders here.", show_default=False),
    ] = None,
) -> None:
    """Show the way of a file, with a bundled clip."""
    from watcherd.cli.demo import demo as command

    raise typer.Exit(command(keep))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="[FILE]", help="Where to write it.")] = Path(
        "watcherd.yaml"
    ),
) -> None:
    """Write a commented starter configuration."""
    from watcherd.cli.init import init as command

    raise typer.Exit(command(path))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    from watcherd.cli.schema import schema as command

    raise typer.Exit(command())
