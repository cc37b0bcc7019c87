"""Sweep files that are wrong, each with the place and the words of one message that has to come."""

from __future__ import annotations

from typing import NamedTuple

GOOD = """\
sweep: toy
question: Which model is better?
trainable: toy.py
fixed: {epochs: 3}
factors:
  model.name: [mlp, cnn]
  model.width: {geometric: [4, 16], levels: 3}
nuisance:
  lr: {low: 1e-3, high: 1.0, log: true}
  smoothing: {low: 0.0, high: 0.5}
  model.depth: {low: 1, high: 3, when: {model.name: mlp}}
objective: {minimize: loss/validation}
search: {sampler: tpe, points: 4}
scheduler: {name: none}
seeds: {tune: 1, confirm: 3}
claims:
  - name: the mlp is better
    metric: loss/test
    where: {model.name: mlp}
    against: {model.name: cnn}
    expect: less
scales:
  smoke: {search.points: 2}
"""


class Bad(NamedTuple):
    id: str
    text: str | bytes
    at: str  # line:column, or nothing if the message is about the file as a whole
    words: str  # parts of the message, between bars


def but(old: str, new: str, text: str = GOOD) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def plus(more: str) -> str:
    return GOOD + more


ZIP = plus("zip:\n  - [model.name, attack.epsilon]\n").replace(
    "nuisance:", "  attack.epsilon: [1/255, 8/255]\nnuisance:"
)
BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
CONDITIONAL = "model.depth: {low: 1, high: 3, when: {model.name: mlp}}"
WIDTHS = "{geometric: [4, 16], levels: 3}"
RATE = "{low: 1e-3, high: 1.0, log: true}"
MINIMIZE = "objective: {minimize: loss/validation}"
TPE = "{sampler: tpe, points: 4}"
CLAIM_END = "    against: {model.name: cnn}\n    expect: less\n"
PEAK = "    expect: peaks_at\n    along: model.width\n"
COMPARED = "    metric: loss/test\n    where: {model.name: mlp}\n" + CLAIM_END
FRONT = "    where: {model.name: mlp}\n    against: {model.name: cnn}\n    expect: front_dominates\n    metrics: "
CORRELATION = (
    "    expect: correlation_at_least\n    low: 1/2\n"
    "    metrics: [loss/test, parameters]\n    where: {model.width: '4', model.name: '*n*'}\n"
)

TEXT = [
    Bad("empty", "", "1:1", "empty file"),
    Bad("only a comment", "# later\n", "1:1", "empty file"),
    Bad("a list", "- a\n", "1:1", "not a sweep|expected a mapping"),
    Bad("a word", "hello\n", "1:1", "not a sweep|got 'hello'"),
    Bad("ten megabytes", "a: " + "x" * 10_000_000, "", "file too large|1,000,000"),
    Bad("not UTF-8", b"sweep: toy\nquestion: \xff\n", "2:11", "not UTF-8|0xff"),
    Bad("UTF-16", "sweep: toy".encode("utf-16"), "1:1", "not UTF-8"),
    Bad("null byte", "sweep: a\0b\n", "1:9", "does not allow|U+0000"),
    Bad("duplicate key", plus("seeds: {tune: 2}\n"), "24:1", "duplicate key|'seeds'|line 15"),
    Bad("duplicate key inside", but("confirm: 3", "tune: 3"), "15:18", "duplicate key|'tune'"),
    Bad("tab as indentation", but("  lr: {", "\tlr: {"), "9:1", "a tab|spaces"),
    Bad("tab after a key", but("sweep: ", "sweep:\t"), "1:7", "a tab|spaces"),
    Bad("wrong indentation", but("  lr: {", "    lr: {"), "10:3", "indentation"),
    Bad("open bracket", but("[mlp, cnn]", "[mlp, cnn"), "7:14", "',' or ']' is missing"),
    Bad("open quote", but("question: Which", "question: 'Which"), "2:11", "a quote that is not closed"),
    Bad("colon in text", but("Which model", "Which: model"), "2:16", "a ':' where no key can be"),
    Bad("no colon", but("sweep: toy", "sweep toy"), "2:9", "a ':' where no key can be"),
    Bad("text that starts with @", but("sweep: toy", "sweep: @toy"), "1:8", "starts with @|quotes"),
    Bad("unknown escape", but("sweep: toy", 'sweep: "\\q"'), "1:10", "unknown escape"),
    Bad("number as key", plus("3: x\n"), "24:1", "a key that is not text|got 3|quotes"),
    Bad("true as key", but("{epochs: 3}", "{true: 3}"), "4:9", "a key that is not text|got true"),
    Bad("list as key", plus("? [a]\n: x\n"), "24:3", "a key that is not text"),
    Bad("merge key", but("{epochs: 3}", "{<<: {epochs: 3}}"), "4:9", "merge keys are not read|extends"),
    Bad(
        "python object", but("sweep: toy", "sweep: !!python/object/apply:os.getcwd []"), "1:8", "unknown tag|os.getcwd"
    ),
    Bad("python name", but("sweep: toy", "sweep: !!python/name:os.system"), "1:8", "unknown tag|os.system"),
    Bad("local tag", but("sweep: toy", "sweep: !name toy"), "1:8", "unknown tag|'!name'"),
    Bad("tag that lies", but("epochs: 3", "epochs: !!int three"), "4:17", "a tag that does not fit"),
    Bad("two documents", plus("---\nsweep: other\n"), "24:1", "a second document"),
    Bad("unknown alias", but("toy\nq", "*toy\nq"), "1:8", "unknown alias|*toy"),
    Bad("alias in itself", but("{epochs: 3}", "&a {epochs: *a}"), "4:20", "an alias inside of what it names"),
    Bad("alias bomb", BOMB, "5:35", "too many values|50,000"),
    Bad("too deep", "a: " + "[" * 60 + "]" * 60, "1:43", "nested too deeply|40"),
    Bad("half a character", but("sweep: toy", 'sweep: "\\ud800"'), "1:8", "half a character"),
    Bad("huge integer", but("epochs: 3", "epochs: " + "9" * 5000), "4:17", "integer too large|64 bits"),
]

KEYS = [
    Bad("unknown key", but("nuisance:", "nuisence:"), "8:1", "unknown key|'nuisence'|did you mean 'nuisance'"),
    Bad("unknown key like nothing", plus("colour: red\n"), "24:1", "unknown key|'colour'|one of sweep"),
    Bad("missing question", but("question: Which model is better?\n", ""), "1:1", "missing key 'question'"),
    Bad("missing objective", but(MINIMIZE + "\n", ""), "1:1", "missing key 'objective'"),
    Bad("unknown key in search", but("points: 4", "poinds: 4"), "13:24", "unknown key|'poinds'|'points'"),
    Bad("unknown key in scheduler", but("{name: none}", "{naem: none}"), "14:13", "unknown key|'naem'|'name'"),
    Bad("unknown key in seeds", but("confirm: 3", "confirn: 3"), "15:18", "unknown key|'confirn'|'confirm'"),
    Bad("unknown key in resources", plus("resources: {cpu: 2}\n"), "24:13", "unknown key|'cpu'|'cpus'"),
    Bad("unknown key in limits", plus("limits: {hour: 2}\n"), "24:10", "unknown key|'hour'|'hours'"),
    Bad("unknown key in a range", but("log: true", "lgo: true"), "9:30", "unknown key|'lgo'|'log'"),
    Bad("unknown key in a choice", but(RATE, "{choices: [1.0], wen: {}}"), "9:24", "unknown key|'wen'|'when'"),
    Bad("misspelt choices", but(RATE, "{choice: [0.1]}"), "9:8", "unknown key|'choice'|'choices'"),
    Bad("unknown key in levels", but("levels: 3", "level: 3"), "7:37", "unknown key|'level'|'levels'"),
    Bad("misspelt geometric", but("geometric", "geometrik"), "7:17", "unknown key|'geometrik'|'geometric'"),
    Bad("unknown key in objective", but("{minimize", "{minimise"), "12:13", "unknown key|'minimise'|'minimize'"),
    Bad(
        "unknown key in at",
        but("loss/validation}", "loss/validation, at: {mean_of_lst: 3}}"),
        "12:45",
        "unknown key|'mean_of_lst'|'mean_of_last'",
    ),
    Bad("unknown key in a claim", but("    metric:", "    metrik:"), "18:5", "unknown key|'metrik'|'metric'"),
    Bad(
        "unknown key in a constraint",
        plus("constraints:\n  parameters: {at_mots: 3}\n"),
        "25:16",
        "unknown key|'at_most'",
    ),
]

TYPES = [
    Bad("name with spaces", but("sweep: toy", "sweep: My toy"), "1:8", "not a name|'My toy'|small letters"),
    Bad("text for a number", but("points: 4", "points: four"), "13:32", "wrong type|'four'|an integer"),
    Bad("1_000 is text", but("points: 4", "points: 1_000"), "13:32", "wrong type|'1_000'|an integer"),
    Bad("float for an integer", but("points: 4", "points: 4.5"), "13:32", "wrong type|4.5|an integer"),
    Bad("true for an integer", but("points: 4", "points: true"), "13:32", "wrong type|true|an integer"),
    Bad("no points", but("points: 4", "points: 0"), "13:32", "out of range|got 0|at least 1"),
    Bad("on is no boolean", but("log: true", "log: on"), "9:35", "wrong type|'on'|true or false"),
    Bad("list for a mapping", but("{epochs: 3}", "[epochs]"), "4:8", "wrong type|a mapping"),
    Bad("unknown sampler", but("tpe", "tpee"), "13:19", "unknown value|'tpee'|did you mean 'tpe'"),
    Bad("unknown scheduler", but("{name: none}", "{name: ahsa}"), "14:19", "unknown value|'ahsa'|'asha'"),
    Bad("scalar as factor", but("[mlp, cnn]", "mlp"), "6:15", "wrong type|'mlp'|a list of levels"),
    Bad("no levels", but("[mlp, cnn]", "[]"), "6:15", "out of range|1 or more"),
    Bad("levels that are no number", but("levels: 3", "levels: many"), "7:45", "wrong type|'many'|an integer"),
    Bad("one end only", but("[4, 16]", "[4]"), "7:28", "too short|2 entries"),
    Bad("geometric from zero", but("[4, 16]", "[0, 16]"), "7:28", "geometric|positive"),
    Bad("list as nuisance", but(RATE, "[0.1, 1.0]"), "9:7", "wrong type|{choices: [a, b]}"),
    Bad("scalar as nuisance", but(RATE, "0.1"), "9:7", "wrong type|got 0.1|{low: a, high: b}"),
    Bad("empty range", but("low: 1e-3, high: 1.0", "low: 2.0, high: 1.0"), "9:13", "the range is empty|2.0|1.0"),
    Bad("log of a negative", but("low: 1e-3", "low: -1.0"), "9:13", "logarithmic|got -1.0|above 0"),
    Bad("log of zero", but("low: 1e-3", "low: 0"), "9:13", "logarithmic|got 0"),
    Bad("log with step", but("log: true", "log: true, step: 0.1"), "9:47", "log and step exclude"),
    Bad("negative step", but("high: 0.5", "high: 0.5, step: -0.1"), "10:42", "a step above 0|-0.1"),
    Bad("step that misses the end", but("high: 0.5", "high: 0.5, step: 0.2"), "10:31", "steps do not end|0.4"),
    Bad(
        "float step between integers",
        but("high: 3, when", "high: 3, step: 0.5, when"),
        "11:40",
        "wrong type|0.5|integer",
    ),
    Bad("infinite range", but("high: 1.0", "high: .inf"), "9:25", "not finite|inf"),
    Bad("text in a range", but("low: 1e-3", "low: small"), "9:13", "wrong type|'small'|a number"),
    Bad("a choice twice", but(RATE, "{choices: [0.1, 0.2, 0.1]}"), "9:17", "0.1 is there twice"),
    Bad("mapping in choices", but(RATE, "{choices: [{a: 1}]}"), "9:18", "wrong type|{a: 1}"),
    Bad("two goals", but("{minimize: loss/validation}", "{minimize: a, maximize: b}"), "12:12", "exactly one of"),
    Bad("no goal", but("{minimize: loss/validation}", "{at: last}"), "12:12", "exactly one of"),
    Bad("unknown at", but("loss/validation}", "loss/validation, at: lats}"), "12:44", "unknown value|'lats'|'last'"),
    Bad("text as objective", but("{minimize: loss/validation}", "loss"), "12:12", "wrong type|'loss'|a list of such"),
    Bad("constraint without limit", plus("constraints: {parameters: {}}\n"), "24:27", "at_most or at_least"),
    Bad("unknown expectation", but("expect: less", "expect: lower"), "21:13", "unknown value|'lower'"),
    Bad("claim that lacks a margin", but("expect: less", "expect: equal"), "17:5", "margin"),
    Bad(
        "claim on a mapping",
        but("where: {model.name: mlp}", "where: {model.name: {a: 1}}"),
        "19:25",
        "wrong type|{a: 1}",
    ),
    Bad(
        "two claims of one name",
        GOOD.replace("scales:", GOOD[GOOD.index("  - name") : GOOD.index("scales")] + "scales:"),
        "17:3",
        "two claims have the name",
    ),
    Bad("scale that is no mapping", but("{search.points: 2}", "2"), "23:10", "wrong type|got 2|a mapping"),
    Bad("cohort", plus("resources: {cohort: some}\n"), "24:21", "unknown value|'some'|auto, off"),
    Bad("no processor", plus("resources: {cpus: 0}\n"), "24:19", "out of range|got 0|above 0"),
    Bad("memory", plus("resources: {memory: 4 large}\n"), "24:21", "not a size|'4 large'|GB"),
    Bad("no memory", plus("resources: {memory: 0}\n"), "24:21", "not a size|got 0"),
    Bad("shares of GPUs", plus("resources: {gpus: 1.5}\n"), "24:19", "a share of several GPUs|got 1.5|whole number"),
    Bad("custom CPUs", plus("resources: {custom: {CPU: 2}}\n"), "24:27", "no custom resource; resources.cpus asks"),
    Bad("odd resource", plus("resources: {custom: {'node:a': 2}}\n"), "24:32", "'node:a' is no name"),
]

SPACE = [
    Bad("levels twice", but("[mlp, cnn]", "[mlp, cnn, mlp]"), "6:26", "two levels with the same label|'mlp'"),
    Bad("labels twice", but(WIDTHS, "[8, '8']"), "7:20", "two levels with the same label|'8'"),
    Bad("integer levels that meet", but("levels: 3", "levels: 30"), "7:16", "two levels with the same label|'4'"),
    Bad(
        "zip of an unknown factor", ZIP.replace("- [model.name", "- [model.naem"), "26:6", "unknown factor|'model.naem'"
    ),
    Bad("zip of different lengths", ZIP.replace("8/255]", "8/255, 16/255]"), "26:5", "different lengths|has 2|has 3"),
    Bad(
        "zipped levels that nothing tells apart",
        ZIP.replace("[mlp, cnn]", "[mlp, mlp]").replace("[1/255, 8/255]", "[1/255, 1/255]"),
        "6:21",
        "two levels with the same label|'mlp'",
    ),
    Bad("zip twice", ZIP + "  - [model.name, model.width]\n", "27:6", "zipped twice|'model.name'"),
    Bad("exclude of an unknown factor", plus("exclude:\n  - {model: mlp}\n"), "25:6", "unknown factor|'model'"),
    Bad("exclude of an unknown level", plus("exclude:\n  - {model.name: mpl}\n"), "25:18", "unknown level|'mpl'|'mlp'"),
    Bad(
        "exclude of everything",
        plus("exclude:\n  - {model.name: mlp}\n  - {model.name: cnn}\n"),
        "24:1",
        "every cell is excluded",
    ),
    Bad(
        "when on an unknown factor",
        but("{model.name: mlp}}", "{mmodel.name: mlp}}"),
        "11:41",
        "unknown factor|'mmodel.name'",
    ),
    Bad(
        "when on an unknown level",
        but("{model.name: mlp}}", "{model.name: mpl}}"),
        "11:53",
        "unknown level|'mpl'|'mlp'",
    ),
    Bad(
        "when outside of a range",
        but("high: 0.5}", "high: 0.5, when: {lr: 7}}"),
        "10:47",
        "never occurs|got 7|from 0.001 to 1.0",
    ),
    Bad(
        "when in a circle",
        but("high: 0.5}", "high: 0.5, when: {lr: 0.1}}").replace("log: true}", "log: true, when: {smoothing: 0.1}}"),
        "9:47",
        "round in a circle|lr -> smoothing -> lr",
    ),
    Bad(
        "when on itself",
        but("high: 0.5}", "high: 0.5, when: {smoothing: 0.1}}"),
        "10:42",
        "circle|smoothing -> smoothing",
    ),
    Bad(
        "when on a choice that is not there",
        but(RATE, "{choices: [0.1, 0.2]}").replace("high: 0.5}", "high: 0.5, when: {lr: 0.3}}"),
        "10:47",
        "never occurs|0.3",
    ),
    Bad("fixed and tuned", but("{epochs: 3}", "{lr: 0.1}"), "9:3", "set twice|fixed|'lr'"),
    Bad("fixed and compared", but("{epochs: 3}", "{model: {width: 3}}"), "7:3", "set twice|fixed|'model.width'"),
    Bad("compared and tuned", but("  lr:", "  model.width:"), "9:3", "set twice|factors|'model.width'"),
    Bad("one inside the other", but("model.width: {", "model: {"), "7:3", "set twice|'model'"),
    Bad("dotted twice", but("{epochs: 3}", "{attack.norm: L2, attack: {norm: L2}}"), "4:35", "set twice|'attack.norm'"),
    Bad(
        "too many cells",
        but(WIDTHS, "{linear: [0.0, 1.0], levels: 1000}").replace(
            "nuisance:", "  a: {linear: [0.0, 1.0], levels: 1000}\nnuisance:"
        ),
        "5:1",
        "too many cells|2,000,000",
    ),
    Bad("bound by an unknown name", plus("constraints: {lr: {at_most: smooth}}\n"), "24:29", "'smooth'|'smoothing'"),
    Bad("bound that no point keeps", plus("constraints: {lr: {at_most: 1e-4}}\n"), "24:29", "no point keeps"),
    Bad(
        "bounds that exclude each other",
        plus("constraints: {parameters: {at_most: 1, at_least: 2}}\n"),
        "24:27",
        "nothing is",
    ),
    Bad("metric bound by a name", plus("constraints: {parameters: {at_most: lr}}\n"), "24:37", "numbers only|'lr'"),
]

CONFIG = [
    Bad("no such trainable", but("toy.py", "tow.py"), "3:12", "no such file|'tow.py'|'toy.py'"),
    Bad("no such shipped trainable", but("toy.py", "supervised.clasiffy"), "3:12", "no such|'supervised.classify'"),
    Bad("no such function", but("toy.py", "toy.py:run_once"), "3:12", "no such function|'run_once'|'run_one'"),
    Bad("unknown field in fixed", but("{epochs: 3}", "{epoch: 3}"), "4:9", "unknown field|'epoch'|'epochs'"),
    Bad(
        "unknown field below", but("{epochs: 3}", "{attack: {epsilom: 1}}"), "4:18", "'attack.epsilom'|'attack.epsilon'"
    ),
    Bad(
        "unknown field as factor",
        but("model.width", "model.wihdth"),
        "7:3",
        "unknown field|'model.wihdth'|'model.width'",
    ),
    Bad(
        "unknown field as nuisance", but("  smoothing:", "  smothing:"), "10:3", "unknown field|'smothing'|'smoothing'"
    ),
    Bad(
        "field of one cell only",
        but("model.depth: {low: 1, high: 3, when: {model.name: mlp}}", "model.vocabulary: {low: 1, high: 3}"),
        "11:3",
        "unknown field|model.name is cnn|'model.vocabulary'",
    ),
    Bad("unknown component", but("[mlp, cnn]", "[mlp, cnm]"), "6:21", "unknown name|'cnm'|'cnn'"),
    Bad("wrong type in fixed", but("epochs: 3", "epochs: three"), "4:17", "epochs|'three'|integer"),
    Bad("float for an int field", but("epochs: 3", "epochs: 3.5"), "4:17", "epochs|3.5"),
    Bad("out of range in fixed", but("epochs: 3", "epochs: 0"), "4:17", "epochs|got 0|1"),
    Bad("level out of range", but(WIDTHS, "[4, 0]"), "7:20", "model.width|got 0|1"),
    Bad("high out of range", but("high: 0.5", "high: 1.5"), "10:31", "smoothing|1.5|1"),
    Bad("low out of range", but("low: 0.0", "low: -0.5"), "10:20", "smoothing|-0.5|0"),
    Bad("choice out of range", but(RATE, "{choices: [0.1, -0.1]}"), "9:23", "lr|-0.1|0"),
    Bad("choice of another type", but(RATE, "{choices: [0.1, fast]}"), "9:23", "lr|'fast'|number"),
    Bad("floats for an int field", but("low: 1, high: 3", "low: 1.5, high: 3.0"), "11:22", "model.depth|1.5|integer"),
    Bad(
        "integers for a float field",
        but("low: 0.0, high: 0.5", "low: 0, high: 1"),
        "10:14",
        "integers for the float smoothing",
    ),
    Bad("unknown literal", but("{epochs: 3}", "{attack.norm: L3}"), "4:22", "attack.norm|'L3'|L2"),
    Bad(
        "level that is a mapping",
        but(WIDTHS, "[4]").replace("nuisance:", "  attack:\n  - {label: big, epsilon: 2.0}\nnuisance:"),
        "9:27",
        "attack.epsilon|2.0",
    ),
]

GOAL = [
    Bad(
        "unknown objective",
        but("loss/validation", "loss/valid"),
        "12:23",
        "unknown metric|'loss/valid'|'loss/validation'",
    ),
    Bad("unknown metric of a claim", but("loss/test", "loss/tset"), "18:13", "unknown metric|'loss/tset'|'loss/test'"),
    Bad(
        "unknown metric in constraints",
        plus("constraints: {parameterz: {at_most: 9}}\n"),
        "24:15",
        "'parameterz'|'parameters'",
    ),
    Bad(
        "objective twice",
        but("{minimize: loss/validation}", "[{minimize: loss/test}, {maximize: loss/test}]"),
        "12:47",
        "two objectives",
    ),
    Bad("claim on an unknown factor", but("where: {model.name", "where: {model"), "19:13", "unknown factor|'model'"),
    Bad(
        "claim on an unknown level",
        but("where: {model.name: mlp}", "where: {model.name: vit}"),
        "19:25",
        "no cell|'vit'",
    ),
    Bad(
        "claim on no cell",
        plus("exclude: [{model.name: mlp, model.width: 4}]\n").replace(
            "where: {model.name: mlp}", "where: {model.name: mlp, model.width: 4}"
        ),
        "19:12",
        "no cell is like that",
    ),
    Bad(
        "claim on the same cells",
        but("against: {model.name: cnn}", "against: {model.name: [mlp]}"),
        "20:14",
        "the same cells",
    ),
    Bad("along words", but(CLAIM_END, "    expect: increases\n    along: model.name\n"), "21:12", "no numbers|'mlp'"),
    Bad(
        "along an unknown factor",
        but(CLAIM_END, "    expect: increases\n    along: model.widt\n"),
        "21:12",
        "'model.width'",
    ),
    Bad(
        "comparison that no level meets",
        but("where: {model.name: mlp}", "where: {model.width: '> 16'}"),
        "19:26",
        "no cell has this level|'> 16'",
    ),
    Bad("peak with all levels inside", but(CLAIM_END, PEAK + "    low: 4\n"), "22:10", "all levels|inside|4, 8, 16"),
    Bad("peak with all levels outside", but(CLAIM_END, PEAK + "    high: 8/255\n"), "22:11", "all levels|outside"),
    Bad(
        "peak along words", but(CLAIM_END, PEAK.replace("width", "name") + "    low: 4\n"), "21:12", "no numbers|'mlp'"
    ),
    Bad("peak without a range", but(CLAIM_END, PEAK), "17:5", "peaks_at needs low, high or both"),
    Bad(
        "front without goals", but(COMPARED, FRONT + "[loss/test, parameters]\n"), "21:26", "no objective|'parameters'"
    ),
    Bad("front of an unknown metric", but(COMPARED, FRONT + "[loss/test, los]\n"), "21:26", "unknown metric|'los'"),
    Bad("front of one metric", but(COMPARED, FRONT + "[loss/test]\n"), "17:5", "two or more metrics"),
    Bad(
        "front that names a metric",
        but("expect: less", "expect: front_dominates"),
        "17:5",
        "front_dominates takes metrics, a list, instead of metric",
    ),
    Bad("correlation of one metric", but(COMPARED, CORRELATION.replace("loss/test, ", "")), "17:5", "two metrics"),
    Bad(
        "correlation that cannot be",
        but(COMPARED, CORRELATION.replace("1/2", "3/2")),
        "17:5",
        "at least -1 and below 1",
    ),
    Bad("correlation over one cell", but(COMPARED, CORRELATION), "18:13", "too few cells|got 1|3 or more"),
    Bad("unknown way to pool", but("expect: less", "expect: less\n    over: every"), "22:11", "unknown value|'every'"),
    Bad("margin that is no number", but("expect: less", "expect: equal\n    margin: 1/x"), "22:13", "a number|'1/x'"),
    Bad("limit below the seeds", but("confirm: 3", "confirm: 3, confirm_at_most: 2"), "15:47", "at least 3|got 2"),
    Bad("claims without seeds", but("confirm: 3", "confirm: 1"), "15:27", "confirm seeds|got 1|at least 2"),
    Bad(
        "cmaes with several objectives",
        but(MINIMIZE, "objective: [{minimize: loss/test}, {minimize: parameters}]").replace("tpe", "cmaes"),
        "13:19",
        "one objective",
    ),
    Bad(
        "scheduler with several objectives",
        but(MINIMIZE, "objective: [{minimize: loss/test}, {minimize: parameters}]").replace("none", "asha"),
        "14:19",
        "one objective",
    ),
    Bad(
        "cmaes without numbers",
        but(CONDITIONAL, "attack.norm: {choices: [L2, Linf]}")
        .replace(RATE, "{choices: [0.1, 0.2]}")
        .replace("{low: 0.0, high: 0.5}", "{choices: [0.0, 0.1]}")
        .replace("tpe", "cmaes"),
        "13:19",
        "cmaes needs",
    ),
    Bad("endless grid", but(TPE, "{sampler: grid}"), "9:3", "without end|'lr'"),
    Bad(
        "points below the grid",
        but("tpe", "grid").replace("log: true", "levels: 3").replace("high: 0.5", "high: 0.5, levels: 3"),
        "13:33",
        "fewer points|got 4|27",
    ),
    Bad(
        "grid too large",
        but("tpe", "grid").replace("log: true", "levels: 1000").replace("high: 0.5", "high: 0.5, levels: 1000"),
        "13:19",
        "too large|3,000,000",
    ),
    Bad(
        "nothing to tune",
        GOOD.replace(GOOD[GOOD.index("nuisance") : GOOD.index("objective")], ""),
        "9:32",
        "nothing to tune|got 4",
    ),
    Bad("hyperband without an end", but("{name: none}", "{name: hyperband}"), "14:19", "hyperband|max_steps"),
    Bad(
        "max below grace",
        but("{name: none}", "{name: hyperband, grace_steps: 9, max_steps: 3}"),
        "14:57",
        "below grace_steps",
    ),
    Bad("budget below the cells", but("points: 4", "trials: 2"), "13:32", "less than one point|got 2|at least 6"),
]

OVERRIDES = [
    Bad(
        "scale with an unknown key", but("{search.", "{searhc."), "23:11", "unknown key|'searhc'|'search'|--scale smoke"
    ),
    Bad(
        "scale with an unknown parameter",
        but("{search.points", "{nuisance.rl.low"),
        "23:11",
        "unknown key|'nuisance.rl.low'",
    ),
    Bad("scale with a wrong type", but("points: 2", "points: few"), "23:26", "wrong type|'few'|an integer"),
    Bad("scale out of range", but("search.points: 2", "fixed.epochs: 0"), "23:25", "epochs|got 0|--scale smoke"),
    Bad(
        "scale without a claimed cell",
        but("search.points: 2", "factors.model.name: [mlp]"),
        "20:27",
        "no cell|'cnn'|--scale",
    ),
    Bad("scale with scales", but("search.points: 2", "scales.a: {}"), "23:11", "cannot be overridden|'scales.a'"),
    Bad("scale with capitals", but("smoke:", "Smoke:"), "23:3", "not a name|'Smoke'|small letters"),
    Bad("extends itself", plus("extends: bad.yaml\n"), "24:10", "round in a circle|'bad.yaml'"),
    Bad("extends nothing", plus("extends: god.yaml\n"), "24:10", "no such file|'god.yaml'"),
    Bad("extends a list", plus("extends: [a.yaml]\n"), "24:10", "wrong type|['a.yaml']"),
]

BAD = [*TEXT, *KEYS, *TYPES, *SPACE, *CONFIG, *GOAL, *OVERRIDES]
