"""What `lmms adaptive --help` and the help of each of its subcommands print."""

ADAPTIVE = """\
lmms adaptive WHAT: item response models

  fit          item parameters from the answers of several models: a bank
  replay       what an adaptive run would have found, on answers there are
  experiment   every method on every checkpoint of a training, as rows
  analyse      what the rows of an experiment show

  lmms adaptive fit responses.jsonl -o irt.csv --report fit.html
  lmms adaptive replay outputs/latest --irt irt.csv --max-items 40
  lmms adaptive experiment --simulated -o results/experiment
  lmms adaptive analyse results/experiment.parquet --html analysis.html

  A bank is for adaptive runs:
  lmms model=... task=mmmu_val selector=adaptive selector.irt=irt.csv

More: lmms adaptive fit --help, and so on
"""

FIT = """\
lmms adaptive fit FILE | RUNS: item parameters from answers

  lmms adaptive fit responses.jsonl -o irt.csv --report fit.html
  lmms adaptive fit outputs/2026*-qwen* --task mmmu_val -o irt.csv

  FILE is .jsonl with {"subject_id": ..., "responses": {item: 0 or 1}} a line,
  or .csv with a row per item and a column per subject. Of runs, each is a
  subject and each document an item; failed samples are missing.
  -o, --output FILE    the item bank: item_id, a, b, stderr_a, stderr_b,
                       n_subjects, digest
  --report FILE        a page: curves, information, suspicious items
  --task, --metric     of runs; without, the only task, the first metric
  --threshold SCORE    scores from here on are right; without, only 0 and 1; of
                       runs with repeats above 0.5: what most answers got right
  --model 2pl | 1pl    1pl: one discrimination for all items
  --min-subjects N     leaves out items with fewer answers
  --keep-negative      keeps items that better subjects solve less often
  --force              writes a bank though the subjects differ by chance only
                       or have no common items, or over one of other items
  --compat fluid       the wider scale of Fluid Benchmarking's models
  --output-dir DIR     where names of runs are looked for, --json
  Abilities are N(0, 1); below 30 subjects parameters rest on their priors.
"""

REPLAY = """\
lmms adaptive replay FILE | RUNS --irt irt.csv
  what an adaptive run would have found, on answers that are there

  --max-items N        items asked at most (100); --se SE: stops earlier
  --estimation map     map, mle or eap
  --start-ability X    for which the first item is chosen
  --steps              every item, answer and ability; --json: always has them
  --task, --metric, --threshold, --output-dir, --json    as for fit
"""

EXPERIMENT = """\
lmms adaptive experiment --simulated | --results FOLDER | RUNS... [-o PATH]
  every method on every checkpoint: adaptive selection (fluid), random subsets
  (random, random_irt), all items (full_accuracy, full_ability); writes
  PATH.jsonl, PATH.parquet and the protocol, PATH.json

  lmms adaptive experiment --simulated -o results/experiment
  lmms adaptive experiment ck/step*/latest --checkpoint-from 'step(\\d+)' \\
      --irt irt.csv

  --simulated          the training history that comes with lmms
  --history-seed N     another one; --banks true: its own item parameters
  --results FOLDER     <lm>.csv or <lm>/<benchmark>.csv, a column for each
                       checkpoint; or allenai/fluid-benchmarking from the Hub
  RUNS                 a checkpoint each, in the order given, or by
                       --checkpoint-from PATTERN, looked for in model or path
  --irt FOLDER | FILE  item parameters: <benchmark>.csv, or one for all
  --common-items       leaves out items that are not everywhere
  --benchmarks, --subjects, --methods NAME,NAME      only these
  --sizes N,N,...      numbers of items (10,50,100,500); reference: the paper's
  --seed N             of the random subsets
  --start-ability X    where adaptive selection begins
  --metric, --threshold, --output-dir    of runs, as for fit; --quiet, --json
"""

ANALYSE = """\
lmms adaptive analyse PATH.parquet | PATH.jsonl [--html FILE] [--json]
  efficiency, validity, variance and saturation by method and number of items

  --pairs A:B,C:D      benchmarks that measure the same skill
  --sizes N,N,...      only these
  --draws N, --seed N, --confidence SHARE      of the bootstrap over models
"""

TEXTS = {
    "adaptive": ADAPTIVE,
    "adaptive fit": FIT,
    "adaptive replay": REPLAY,
    "adaptive experiment": EXPERIMENT,
    "adaptive analyse": ANALYSE,
}
