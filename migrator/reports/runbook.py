"""The whole switch as Markdown with commands to paste, filled in for one installation."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from migrator.reports.formatting import shown
from migrator.switch.deployment import KINDS, Compose, Debian, Kind
from migrator.switch.kubernetes import Kubernetes
from migrator.switch.steps import StepText, SwitchStep, steps_of

Deployment = Kind
DEPLOYMENTS: tuple[Deployment, ...] = KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """What is filled in. `words`: the options that name the locations, as they were typed; `back`: the same, with ends swapped.

    `settings` and `old_settings` are lines for Bytes' env file. `nginx` are the cure's lines, empty where none is needed;
    `may_need_nginx`: that is not known. `can_verify`: this program has that command. `lost_on_s3`: what Bytes cannot do
    there. `read_through`: Bytes is switched first, and nginx reads through to the data folder until these lines take its lines' place;
    the commands let nginx' user read that folder. `version`: a warning on Bytes' version, or "". `form`: what is odd about the env
    files' form, and the command
    that mends it.
    """

    deployment: Deployment
    source: str
    target: str
    words: tuple[str, ...]
    back: tuple[str, ...]
    settings: tuple[str, ...]
    old_settings: tuple[str, ...]
    nginx: tuple[str, ...]
    proxy_url: str
    may_need_nginx: bool
    to_s3: bool
    lost_on_s3: str
    can_verify: bool
    form: tuple[str, str] | None
    version: str
    read_through: tuple[tuple[str, ...], tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class _Commands:
    stop: str
    start: str
    health: str
    file: str
    log: str
    prefix: str


_COMMANDS: dict[Deployment, _Commands] = {
    "debian": _Commands(
        stop=Debian().stop_command,
        start=Debian().start_command,
        health="systemctl is-active kat-bytes",
        file="/etc/kat/bytes.conf",
        log="journalctl --unit kat-bytes --since '-10 min' --no-pager",
        prefix="As root, on the machine that Bytes runs on. Bytes' service is `kat-bytes`.",
    ),
    "compose": _Commands(
        stop=Compose(".").stop_command,
        start=Compose(".").start_command,
        health="docker compose ps bytes",
        file=".env",
        log="docker compose logs --since 10m bytes",
        prefix="As root, in the folder of `docker-compose.yml`. The data folder is the folder of the volume that Bytes has at `/data`:"
        " `docker volume inspect --format '{{.Mountpoint}}' VOLUME` tells it.",
    ),
    "kubernetes": _Commands(
        stop=f"{Kubernetes().stop_command} && kubectl rollout status deployment/bytes",
        start=Kubernetes().start_command,
        health="kubectl rollout status deployment/bytes",
        file="the Secret or ConfigMap that Bytes has its environment from",
        log="kubectl logs deployment/bytes --since=10m",
        prefix="`bytes-migrator` runs in a Job with Bytes' data volume at `/data`, `runAsUser: 1000`, and a volume of its own for"
        " `--state-dir`;"
        " `kubectl` where you administer the cluster."
        " Change `deployment/bytes` if Bytes has another name.",
    ),
}


def runbook_as_markdown(book: Runbook) -> str:
    """Return the steps as Markdown, with commands to paste."""
    return "\n".join(_lines(book)) + "\n"


def _lines(book: Runbook) -> Iterator[str]:
    commands = _COMMANDS[book.deployment]
    yield f"# Moving Bytes' raw files to {shown(book.target)}"
    yield ""
    yield f"From {shown(book.source)}, with Bytes as a {book.deployment} deployment. {commands.prefix}"
    yield "`bytes-migrator switch` takes these steps by itself, and takes them back if one fails; this page is for doing it by hand."
    yield "Each step tells how it went. Until Bytes has its new settings nothing changes for it, and any step can be repeated."
    if book.version:
        yield ""
        yield f"**{book.version}**"
    if book.to_s3:
        yield ""
        yield f"**Before you begin:** {shown(book.lost_on_s3)}"
    for number, (title, body) in enumerate(_steps(book, commands), 1):
        yield ""
        yield f"## {number}. {title}"
        yield ""
        yield from body


def _steps(book: Runbook, commands: _Commands) -> Iterator[tuple[str, list[str]]]:
    """Yield title and body of each step: those that `switch` takes by itself, in the same order and by the same commands."""
    if book.nginx and not book.read_through:
        yield "Put nginx before the S3 server", _nginx(book)
    for step, text in steps_of(reads_through=book.read_through is not None).items():
        title = f"{text.title}, in {commands.file}" if step is SwitchStep.SETTINGS else text.title
        body = _body(step, book, commands)
        yield title, [*body, "", f"If this fails: {_taken_back(text)}"] if text.undone else body
    yield "The way back", _back(book, commands)


def _taken_back(text: StepText) -> str:
    """Return how a step is taken back, without its capital letter: it goes on a sentence."""
    return text.undone[0].lower() + text.undone[1:]


def _body(step: SwitchStep, book: Runbook, commands: _Commands) -> list[str]:
    verify = _tool("verify", *book.words) if book.can_verify else _tool("plan", *book.words)
    otherwise = "see to what is listed" if book.read_through else "start Bytes as it was, and see to what is listed"
    without, rights = book.read_through or ((), ())
    reads = (
        ["Bytes reads again: what S3 does not have yet, nginx reads from the data folder."] if book.read_through else []
    )
    bodies: dict[SwitchStep, list[str]] = {
        SwitchStep.LOOK: _inspection(book),
        SwitchStep.COPY: [
            *_block(_tool("migrate", *book.words, "--yes")),
            "Repeat it until it copies only a few. Went well: exit status 0.",
        ],
        SwitchStep.STOP: [*_block(commands.stop), "From here on OpenKAT cannot save or read raw files."],
        SwitchStep.LAST_PASS: [
            *_block(_tool("migrate", *book.words, "--full", "--yes")),
            "Went well: `Everything is accounted for` or `Nothing to copy`.",
        ],
        SwitchStep.VERIFY: [
            *_block(verify),
            f"Went well: {'exit status 0' if book.can_verify else 'nothing is missing'}. If not, {otherwise}.",
        ],
        SwitchStep.SETTINGS: _settings(book, commands),
        SwitchStep.START: [*_block(commands.start), *reads],
        SwitchStep.HEALTH: [
            *_block(commands.health),
            "Went well: Bytes runs, and `/health` at its own URL answers 200.",
        ],
        SwitchStep.PROVE: [
            "In OpenKAT, open a raw file from before, and run a boefje that makes a new one; open that too. Then:",
            "",
            *_block(f"{commands.log} | grep -w 500 || echo 'no error'"),
            "Went well: both open, and `no error`. Otherwise take the way back.",
        ],
        SwitchStep.READ_THROUGH: _nginx(book),
        SwitchStep.LET_READ: _let_nginx_read(book, rights),
        SwitchStep.END_READ_THROUGH: _end_reading_through(without),
    }
    return bodies[step]


def _let_nginx_read(book: Runbook, rights: Sequence[str]) -> list[str]:
    """After Bytes was stopped: it makes index folders that its group may not pass until then."""
    return [
        *_block(*map(shown, rights)),
        *_block(_tool("doctor", *book.words, "--read-through")),
        "Went well: no `error:` of `read-through`. Where nginx runs in a container, mount the data folder there, read-only, at the same"
        " path.",
    ]


def _end_reading_through(without: Sequence[str]) -> list[str]:
    return [
        "Put these lines in place of those above. While nginx reads through, `prune` refuses.",
        "",
        "```nginx",
        *map(shown, without),
        "```",
        "",
        *_block("nginx -t && systemctl reload nginx"),
    ]


def _inspection(book: Runbook) -> list[str]:
    lines = _block(
        _tool("doctor", *book.words, "--probe", "--yes") if book.to_s3 else _tool("doctor", *book.words),
        _tool("plan", *book.words),
    )
    lines.append("Went well: no `error:`. Each one says what cures it.")
    if book.may_need_nginx:
        lines += [
            "",
            "If `bytes-calls` is an error, `doctor` prints nginx's lines that cure it; then begin here again.",
        ]
    return lines


_READS = "It reads through: a raw file that S3 does not have yet is served from the data folder, so Bytes can be switched first."
_CURES = "This server refuses a call that Bytes makes at every save and every read; without this, Bytes answers HTTP 500 to everything."


def _nginx(book: Runbook) -> list[str]:
    return [
        _READS if book.read_through else _CURES,
        "In containers, let nginx listen where Bytes' container reaches it, and use that address in place of"
        f" `{book.proxy_url}` everywhere below.",
        "",
        "```nginx",
        *map(shown, book.nginx),
        "```",
        "",
        *_block("nginx -t && systemctl reload nginx"),
    ]


def _settings(book: Runbook, commands: _Commands) -> list[str]:
    """The keys are named and never printed."""
    return [
        *_form(book),
        *_block(
            f"cp -p {commands.file} {commands.file}.before-migration"
            if "/" in commands.file or "." in commands.file[:1]
            else "kubectl get secret,configmap -o yaml > before-migration.yaml && chmod 600 before-migration.yaml"
        ),
        "Then these lines, each on a line of its own and without `export`, in place of those of the same names:",
        "",
        "```",
        *map(shown, book.settings),
        "```",
    ]


def _form(book: Runbook) -> list[str]:
    """What to mend in the env files before anything is pasted."""
    if book.form is None:
        return []
    seen, cure = book.form
    first = [shown(seen), ""]
    return (
        [*first, *_block(shown(cure))]
        if cure.startswith("sed ") and " Then: " not in cure
        else [*first, f"First: {shown(cure)}", ""]
    )


def _back(book: Runbook, commands: _Commands) -> list[str]:
    return [
        "Nothing was removed from the old place. What Bytes saved at the new one meanwhile has to come back first:",
        "",
        *_block(commands.stop, _tool("migrate", *book.back, "--full", "--yes")),
        f"Then the old settings, in {commands.file}:",
        "",
        "```",
        *map(shown, book.old_settings),
        "```",
        "",
        *_block(commands.start),
    ]


def _tool(*words: str) -> str:
    return shown(shlex.join(("bytes-migrator", *words)))


def _block(*lines: str) -> list[str]:
    return ["```sh", *lines, "```", ""]


def tool_words(options: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """(option, value) pairs as words of a command line; an empty value is a flag."""
    return tuple(word for name, value in options for word in ((name, value) if value else (name,)))
