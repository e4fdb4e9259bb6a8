"""``memchat eval sql``: predict, judge, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memchat.cli.measuring import USUAL, console, new_folder, progress_bar, run_recall
from memchat.cli.options import ModelOption, SetOption
from memchat.errors import MemchatError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(help="Measure the SQL memory against what it has to beat.", no_args_is_help=True)

SYSTEMS = ("sql", "sql-untrained", "sql-grammar", "search", "window", "full", "none")
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="What `predict` made.")]


@app.command()
def predict(
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            help="Memory mode, or sql-untrained, sql-grammar, sql-bare (no fallback); may be repeated.",
            show_default=", ".join(SYSTEMS),
        ),
    ] = None,
    model: ModelOption = None,
    data: Annotated[
        str, typer.Option("--data", help="'world', 'world:valid', 'everyday', or FILE.jsonl from 'data prepare'.")
    ] = "world",
    n: Annotated[int, typer.Option("--n", min=1, help="Conversations at most.")] = 12,
    seed: Annotated[int, typer.Option("--seed", help="Of the world's conversations.")] = 0,
    size: Annotated[str, typer.Option("--size", help="Characters of the world's conversations.")] = "6000-12000",
    questions: Annotated[int, typer.Option("--questions", min=1, help="Probes of each, about.")] = 25,
    min_tokens: Annotated[int, typer.Option("--min-tokens", help="Leave out shorter conversations.")] = 0,
    limit_tokens: Annotated[int | None, typer.Option("--limit-tokens", help="Leave out longer ones.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Conversations side by side.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run.", show_default="in the data folder")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the run in --out.")] = False,
    settings: SetOption = None,
) -> None:
    """Tell each system whole conversations, ask, and write what it answered to eval_record.txt.

    Facts about other people are kept unless --set sql.people=false says otherwise.
    """
    from memchat.cli.options import settings_from, span
    from memchat.evals.probesets import Wanted
    from memchat.evals.sql_record import write_record
    from memchat.evals.transcripts import SETTINGS
    from memchat.evals.variants import check

    chosen = settings_from(model, None, [*USUAL["sql predict"], *(settings or [])])
    systems = [check(name) for name in dict.fromkeys(system or SYSTEMS)]
    if resume and out is None:
        raise UsageError("--resume needs the folder of the run", "Name it with --out FOLDER.")
    sizes = span(size, "--size") if data.partition(":")[0] == "world" else None
    wanted = Wanted(data, n, seed, sizes, min_tokens, limit_tokens, questions)
    folder = out or new_folder("sql", chosen.model, data)
    run_recall(systems, wanted, chosen, folder, {"resume": resume, "force": force}, task="sql predict", jobs=jobs)
    described = json.loads((folder / SETTINGS).read_text("utf-8"))
    write_record(folder, described, _probes(folder))
    _show(folder, as_json=False)


@app.command()
def judge(
    folder: FolderArgument,
    model: ModelOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Only whole and exact answers are right.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    settings: SetOption = None,
) -> None:
    """Let a model judge the predictions; it sees the question, the right answer and the reply.

    It is measured itself on forty replies that were judged by hand. Use another model than the one that answered.
    """
    from memchat.cli.options import settings_from
    from memchat.evals.judge import Judge, judge_run
    from memchat.evals.sql_tables import judged
    from memchat.evals.transcripts import write_whole
    from memchat.worker import load_engine

    probes = _probes(folder)
    chosen = settings_from(model, None, settings)
    with progress_bar("loading") as report:
        engine = load_engine(chosen, lambda what, done, total: report(done, total, what))
    try:
        with progress_bar("judging", rate="replies/s") as report:
            found = judge_run(Judge(engine, strict), folder, probes, lambda total, done: report(done, total))
    except KeyboardInterrupt:
        raise MemchatError("stopped; the verdicts so far are kept", "The same command goes on with the rest.") from None
    write_whole(folder / f"judge-{found['judge']}.json", json.dumps(found, indent=2) + "\n")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console().print(judged(found))


@app.command()
def report(
    folder: FolderArgument,
    differ: Annotated[
        int, typer.Option("--differ", min=0, help="Show so many answers that the first system alone has right.")
    ] = 0,
    published: Annotated[bool, typer.Option("--published", help="Show what others published.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Everything that was counted in a run: answers, SQL, table, failures, verdicts of judges."""
    _show(folder, as_json, differ, published)


def _probes(folder: Path) -> list[dict[str, Any]]:
    from memchat.evals.sql_record import read_probes

    return read_probes(folder)


def _show(folder: Path, as_json: bool, differ: int = 0, published: bool = False) -> None:
    from memchat.evals import sql_tables
    from memchat.evals.sql_figures import figures, mcnemar
    from memchat.evals.transcripts import CONVERSATIONS, read_lines

    probes, conversations = _probes(folder), read_lines(folder / CONVERSATIONS)
    by = {name: [p for p in probes if p["memory"] == name] for name in dict.fromkeys(p["memory"] for p in probes)}
    found = {name: figures(part, [c for c in conversations if c["memory"] == name]) for name, part in by.items()}
    first = next(iter(by))
    for name in by:
        found[name]["against_first"] = mcnemar(by[first], by[name]) if name != first else None
    judges = [json.loads(path.read_text()) for path in sorted(folder.glob("judge-*.json"))]
    if as_json:
        typer.echo(json.dumps({"systems": found, "judges": judges}, indent=2, ensure_ascii=False))
        return
    shown: list[Table] = [*sql_tables.tables(found), *(sql_tables.judged(judge) for judge in judges)]
    shown += [sql_tables.published()] if published else []
    for table in shown:
        console().print(table)
    for text in sql_tables.differences(by, differ):
        typer.echo(text)
    typer.echo(f"predictions: {folder}")
