"""Studies, model folders and reports that were written to harm: no command obeys them.

Every command runs in a process that notes connections, other programs, and files that are written
outside the study's folder and the place that the command line names (tests/support/watched.py).
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.tally import count

from autosearch.cli import main
from autosearch.experiments.benchmarks.tiny_pipelines import pipeline_folder
from autosearch.study.journal import FILE, LOCK
from autosearch.study.journal_lines import encode

WATCHED = Path(__file__).parents[1] / "support" / "watched.py"
SMALL = (
    *("--budget", "8", "--workers", "1", "--set", "samples=100", "--set", "validation.samples=200"),
    *("--set", "space={timesteps: {steps: [2, 3]}}", "--set", "baselines=[ddim@2, dpmpp_2m@3]"),
    *("--set", "algorithm={name: random}"),
)
# Nobody listens there.
NOWHERE = "http://127.0.0.1:9"
ESCAPES = "\x1b]0;owned\x07\x1b[2J"
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>"
CODE = "float32)\nimport os; os.system('touch pwned')\nprint('{0.__class__}'"

Records = list[dict[str, Any]]
Harm = Callable[[Path, Records, Path], None]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that harms nobody."""
    folder = tmp_path_factory.mktemp("plain") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")
        assert main(["run", "mixture", "--out", str(folder), *SMALL]) == 0
    return folder


def records(study: Path) -> Records:
    lines = (study / FILE).read_text().splitlines()
    return [json.loads(line)["record"] for line in lines]


def write(study: Path, changed: Records) -> None:
    lines = [encode(record, number, "00") for number, record in enumerate(changed)]
    (study / FILE).write_bytes(b"".join(lines))


# -- harm --------------------------------------------------------------------------------------


def experiment(**keys: Any) -> Harm:
    """Other settings in the header."""

    def harm(study: Path, lines: Records, outside: Path) -> None:
        text = json.dumps(keys).replace("OUTSIDE", str(outside))
        lines[0]["experiment"] |= json.loads(text)

    return harm


def overrides(*texts: str) -> Harm:
    """Changes that the command line is said to have made, and what came of them."""

    def harm(study: Path, lines: Records, outside: Path) -> None:
        from autosearch.experiment import load_experiment

        made = [text.replace("OUTSIDE", str(outside)) for text in texts]
        lines[0]["overrides"] += made
        lines[0]["experiment"] = load_experiment("mixture", lines[0]["overrides"]).to_dict()

    return harm


def named(text: str) -> Harm:
    """Text that does something in a terminal, a page, a picture, a shell or a file's name."""

    def harm(study: Path, lines: Records, outside: Path) -> None:
        header = lines[0]
        header["name"] = header["model_name"] = header["version"] = text
        header["environment"] = {text: text, "autosearch": text}
        header["overrides"] = [f"seed=1 # {text}"]
        for record in lines[1:]:
            if record["type"] == "ask" and record["kind"] == "baseline":
                record["name"] = f"{text}@{record['id']}"
            for key in ("worker", "recipe", "what"):
                if isinstance(record.get(key), str):
                    record[key] = text
        lines.append({"type": "phase", "name": text, "seconds": 1.0})
        lines.append({"type": "stop", "reason": text})

    return harm


def link(name: str, *, folder: bool = False) -> Harm:
    """A link in a file's place that leads out of the study."""

    def harm(study: Path, lines: Records, outside: Path) -> None:
        place, target = study / name, outside / ("folder" if folder else "precious")
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    return harm


def pipe(name: str) -> Harm:
    """A pipe in a file's place, where whoever opens it waits for ever."""

    def harm(study: Path, lines: Records, outside: Path) -> None:
        (study / name).unlink(missing_ok=True)
        os.mkfifo(study / name)

    return harm


def pipeline(index: dict[str, Any], files: dict[str, str], **model: Any) -> Harm:
    """A model's folder beside the study, whose files bring code."""

    def harm(study: Path, lines: Records, outside: Path) -> None:
        folder = study / "model"
        shutil.copytree(outside / "dit", folder)
        data = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps({**data, **index}))
        for name, text in files.items():
            (folder / name).write_text(text)
        settings = {"name": "diffusers", "path": str(folder), "classes": [3, 7], **model}
        lines[0]["experiment"]["model"] = settings

    return harm


PWNED = "open('pwned', 'w').close()\nclass Custom: pass\n"
HARM: dict[str, Harm] = {
    "nothing": lambda study, lines, outside: None,
    "tensorboard elsewhere": experiment(loggers=[{"name": "tensorboard", "folder": "OUTSIDE/tb"}]),
    "mlflow's server": experiment(loggers=[{"name": "mlflow", "uri": NOWHERE}]),
    "wandb online": experiment(loggers=[{"name": "wandb", "mode": "online"}]),
    "a cluster": experiment(workers={"address": "127.0.0.1:9", "count": 1}),
    "Ray's client": experiment(workers={"address": "ray://127.0.0.1:9", "count": 1}),
    "overrides": overrides(
        "loggers=[{name: tensorboard, folder: OUTSIDE/tb}]", "workers.address=127.0.0.1:9"
    ),
    "overrides in one": overrides("workers={address: 127.0.0.1:9, count: 1}"),
    "a model's name on a hub": experiment(model={"name": "diffusers", "path": "some/pipeline"}),
    "weights elsewhere": experiment(model={"name": "digits", "path": "OUTSIDE/precious"}),
    "overridden weights": overrides("model={name: digits, path: OUTSIDE/precious}"),
    "a reward's name on a hub": experiment(
        model={"name": "digits", "rewards": {"clip_score": "some/clip", "prompts": ["x"] * 10}}
    ),
    "escapes": named(ESCAPES),
    "HTML": named(HTML),
    "formulas": named("$\\input{/etc/passwd}$ $x^$"),
    "a shell": named("$(touch pwned); `touch pwned` '\"\n../../x"),
    "linked tables": link("front.txt"),
    "linked pictures": link("front.png"),
    "linked recipe": link("recipe.json"),
    "linked report": link("report.html"),
    "linked lock": link(LOCK),
    "linked blocks": link("blocks", folder=True),
    "linked artifacts": link("artifacts", folder=True),
    "linked loggers": link("loggers", folder=True),
    "a pipe for a table": pipe("front.txt"),
    "a pipe for a lock": pipe(LOCK),
}
PIPELINES: dict[str, Harm] = {
    "code for a dtype": pipeline({}, {}, dtype=CODE),
    "code for a pipeline's class": pipeline({"_class_name": f"DiTPipeline\n{CODE}"}, {}),
    "a pipeline of its own": pipeline(
        {"_class_name": ["own", "Custom"]}, {"own.py": PWNED}, dtype="float32"
    ),
    "a part of its own": pipeline({"vae": ["own", "Custom"]}, {"vae/own.py": PWNED}),
    "any module": pipeline({"vae": ["antigravity", "Custom"]}, {}),
    "a part elsewhere": pipeline({"../../x": ["diffusers", "AutoencoderKL"]}, {}),
}

# -- commands ----------------------------------------------------------------------------------

# What each command is given; OUT is a folder that it may write to.
QUICK = {
    "status": ["status", "DIR"],
    "front": ["front", "DIR", "--all"],
    "pick": ["front", "DIR", "--pick", "knee"],
    "json": ["export", "DIR", "--pick", "knee", "-o", "OUT/recipe.json"],
    "sigmas": ["export", "DIR", "--pick", "knee", "--format", "sigmas", "-o", "OUT/s.json"],
}
FOLDERS = {
    "diffusers": ["export", "DIR", "--pick", "knee", "--format", "diffusers", "-o", "OUT/folder"],
    "trusted": [
        *("export", "DIR", "--pick", "knee", "--format", "diffusers", "-o", "OUT/folder"),
        "--trust",
    ],
}
LOOKING = {
    "report without samples": ["report", "DIR", "--samples", "0"],
    "plot": ["plot", "DIR"],
}
WORKING = {
    "report": ["report", "DIR"],
    "picture": ["plot", "DIR", "-o", "OUT/x.svg"],
    "drawn recipe": ["plot", "DIR", "--pick", "knee"],
    "optuna": ["export", "DIR", "--format", "optuna", "-o", "OUT/trials.log"],
    "validate": ["validate", "DIR", "--seed", "7"],
    "resume": ["run", "mixture", "--resume", "--out", "DIR", *SMALL, "--budget", "9"],
    "start from it": ["run", "mixture", "--out", "OUT/new", *SMALL, "--set", "init=[DIR]"],
    "evaluate": ["evaluate", "OUT/recipe.json", "--model", "mixture", "--samples", "200"],
}


# Imported before anything is watched.
HEAVY = ("matplotlib.pyplot", "torch._dynamo", "autosearch.visualization.study_outputs")


def outcomes(
    plain: Path,
    folder: Path,
    harms: dict[str, Harm],
    commands: dict[str, list[str]],
    modules: Sequence[str] = HEAVY,
) -> list[tuple[str, str, Any, list[str], str, str, Path]]:
    """Every command on a copy of every harmful study, in one process; nothing changed outside."""
    outside, home = folder / "outside", folder / "home"
    (outside / "folder").mkdir(parents=True)
    home.mkdir()
    (outside / "precious").write_text("precious")
    if set(harms) & set(PIPELINES):
        made = pipeline_folder("dit", folder / "made", num_layers=1)
        shutil.copytree(made, outside / "dit")
    todo, places = [], {}
    for number, (name, harm) in enumerate(harms.items()):
        study, out = folder / f"s{number}" / "study", folder / f"s{number}" / "out"
        shutil.copytree(plain, study)
        out.mkdir()
        places[name] = study
        lines = records(study)
        harm(study, lines, outside)
        write(study, lines)
        for command, words in commands.items():
            given = [word.replace("DIR", str(study)).replace("OUT", str(out)) for word in words]
            todo.append([f"{name}: {command}", given, [str(study), str(out)]])
    before = snapshot(outside)
    (folder / "todo.json").write_text(json.dumps(todo))
    done = subprocess.run(
        [sys.executable, str(WATCHED), str(folder / "todo.json"), *modules],
        cwd=home,
        env={
            **os.environ,
            "HOME": str(home),
            "MPLCONFIGDIR": str(home),
            "AUTOSEARCH_EXECUTOR": "auto",
            "HF_HUB_OFFLINE": "",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr
    assert snapshot(outside) == before
    assert not [*folder.rglob("pwned")]
    results = json.loads(done.stdout.splitlines()[-1])
    return [
        (*name.split(": "), code, noted, out, err, places[name.split(": ")[0]])
        for name, code, noted, out, err in results
    ]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() if p.is_file() else b"" for p in sorted(folder.rglob("*"))}


def check(results: list[tuple[str, str, Any, list[str], str, str, Path]]) -> None:
    for harm, command, code, noted, out, err, _ in results:
        name = f"{harm}: {command}"
        assert noted == [], name
        assert code in (0, 2), f"{name}\n{code}\n{err}"
        assert "Traceback" not in out + err, name
        assert "\x1b" not in out + err, name
        assert "\x07" not in out + err, name
        if code == 2:
            assert err.splitlines()[-1].startswith("autosearch: "), name
    count("commands on studies that were written to harm", len(results))
    for study in {study for *_, study in results}:
        for path in study.rglob("*"):
            if path.suffix in (".txt", ".html", ".svg") and path.is_file():
                text = path.read_text()
                assert "\x1b" not in text
                assert "<script" not in text.lower() or path.suffix == ".txt"
        for path in (study.parent / "out").rglob("*.py"):
            compile(path.read_text(), str(path), "exec")
            assert "os.system" not in path.read_text().replace(repr(CODE), "")


def test_looking_at_a_stranger_s_study_does_nothing_else(plain: Path, tmp_path: Path) -> None:
    results = outcomes(plain, tmp_path, HARM, QUICK, modules=())
    check(results)
    codes = {command: code for harm, command, code, *_ in results if harm == "nothing"}
    assert set(codes.values()) == {0}


@pytest.mark.soak
def test_code_of_a_stranger_s_pipeline_is_not_run(plain: Path, tmp_path: Path) -> None:
    results = outcomes(plain, tmp_path, PIPELINES, {**FOLDERS, "validate": ["validate", "DIR"]})
    check(results)
    said = {(harm, command): err for harm, command, _, _, _, err, _ in results}
    assert "unknown dtype" in said["code for a dtype", "trusted"]
    for harm in ("code for a pipeline's class", "a pipeline of its own", "a part of its own"):
        assert "code that comes with a model is not run" in said[harm, "trusted"]
        assert "names model.path" in said[harm, "diffusers"]


@pytest.mark.soak
def test_working_on_a_stranger_s_study_obeys_nothing(plain: Path, tmp_path: Path) -> None:
    results = outcomes(plain, tmp_path, HARM, {"json": QUICK["json"], **LOOKING, **WORKING})
    check(results)
    codes = {command: code for harm, command, code, *_ in results if harm == "nothing"}
    # The mixture has no sites, of which a recipe's picture could show something.
    assert {command for command, code in codes.items() if code} == {"drawn recipe"}
    said = {(harm, command): err for harm, command, _, _, _, err, _ in results}
    assert "loggers (tensorboard) are not told" in said["tensorboard elsewhere", "validate"]
    assert "at 127.0.0.1:9 is not joined" in said["overrides in one", "resume"]
    assert "names model.path 'some/pipeline'" in said["a model's name on a hub", "validate"]


@pytest.mark.soak
def test_the_watcher_sees(plain: Path, tmp_path: Path) -> None:
    """What is asked for on the command line is obeyed, and noticed here."""
    asked = ["--set", f"loggers=[{{name: tensorboard, folder: {tmp_path}/in/outside/tb}}]"]
    harms, command = {"nothing": HARM["nothing"]}, {"validate": ["validate", "DIR", *asked]}
    with pytest.raises(AssertionError, match="outside/tb"):
        outcomes(plain, tmp_path / "in", harms, command)
