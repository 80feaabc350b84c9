"""The help texts. `lmms --help` comes first of all, so nothing heavy is imported here."""

from __future__ import annotations

from lmms.cli import adaptive_help

MAIN = """\
lmms: evaluate language and multimodal models

  lmms +experiment=longvideo model=qwen3_vl           offline, shipped canary
  lmms +experiment=longvideo model=qwen3_vl env=hub   real weights and data
  lmms model=qwen3_vl 'task=[mmmu_val,mme]' tasks.mmmu_val.limit=50
  lmms -m model=qwen3_vl,dummy task=gsm8k,hellaswag   a sweep: 4 runs, 1 table
  lmms --config run.yaml generation.temperature=0     a run file; words win

Commands
  (words)          run what the words describe; the same words resume it
  plan WORDS       what would run: documents, requests, frames, tokens
                   --render counts fully, --json, --yaml prints a run file
  ls WHAT          tasks, models, groups or experiments; --match PATTERN, --json
  media WHAT       looks at media: probe, frames, doctor, build-lance
  show RUN         a finished or running run; --samples TASK, --yaml, --json
  compare A B      two runs on the same documents; --fail-if, --json, --html
  power            how many samples show a difference of --effect 3pp
  adaptive WHAT    item response models: fit, replay; experiment, analyse
  version          versions of what can change a result
  completion SHELL the script for bash, zsh or fish

Words
  GROUP=OPTION     model, task, generation, media, env, executor, selector
  +experiment=NAME a whole set-up
  key=value        one value, e.g. limit=50, generation.max_new_tokens=64,
                   tasks.mme.limit=10, model.kwargs.NAME=VALUE, output.dir=DIR
  'task=[a,b]'     several tasks; globs and groups work too: 'task=mm*'

Flags
  -c, --config FILE    a run, or a list of runs, in YAML
  -m, --multirun       every combination of comma-separated values
      --config-dir DIR a folder with further group options
      --json           one JSON document on stdout
      --debug          tracebacks
  -q, --quiet          no progress
  -h, --help           this text; also after a command

Exit codes
  0 all is complete      1 internal, disk      2 configuration, plan or name
  3 more samples failed than run.max_failed_share allows
  4 media    5 model or network    6 scoring    10 a gate of compare closed
  130 interrupted
"""

PLAN = """\
lmms plan WORDS: what would run; imports no model library, reads no weights

  lmms plan +experiment=longvideo model=qwen3_vl
  lmms plan 'task=[mme,gsm8k]' limit=20 --render

  --render       reads the data and counts documents, requests, frames and words
  --yaml         prints the run file that makes this plan
  --json         prints the plan, or a list where there are several runs
  -q, --quiet    only checks, and prints what is wrong
  -c, --config FILE    -m, --multirun    --config-dir DIR    --debug

Each number says what it stands on. `?`: only the data can tell; see --render.
"""

LS = """\
lmms ls tasks | models | groups | experiments

  lmms ls tasks --match 'mm*'
  lmms ls models --json

  --match PATTERN      part of a name, or a glob; searches groups and tags too
  --config-dir DIR     a folder with further options
  --task-path DIR      a folder with further tasks
  --json
"""

SHOW = """\
lmms show RUN: a finished or running run

  lmms show outputs/latest
  lmms show outputs/latest --samples gsm8k --limit 5

  RUN is a run folder, its results.json, or the end of a name below outputs.
  --samples TASK       its samples
  --status STATUS      only ok, unparsed, refused, truncated or failed samples
  --limit N            at most N samples
  --yaml               the run file that reproduces the run
  --json
"""

MEDIA = """\
lmms media probe | frames | doctor | build-lance: works on media; no model

  lmms media probe FILE... [--json]
    size, exact count of frames, duration, rate, codec, rotation, damage; also
    of images and sound what there is of it

  lmms media frames FILE [-o SHEET.png] [--dir DIR] [--columns N] [--json]
    writes the chosen frames, with indices and times, as one picture
    (frames.png; never over the clip), or with --dir each as a PNG file of
    its own size
    --num-frames N       evenly spread; 8 if nothing is chosen
    --fps RATE           frames per second, at most --max-frames N
    --indices I,J,...    positions from 0
    --times S,S,...      seconds from the first frame
    --task TASK WORDS    the task's own frames, e.g. media.num_frames=4
    WORDS of media       by name, e.g. media=qwen_vl media.max_frames=32

  lmms media doctor TASK | FOLDER | FILE... [WORDS] [--json]
    checks all media of a task, a folder (archives and Lance tables in it too)
    or files before a run, in parallel:
    missing, damaged, rotated, of variable rate, over budget, duplicate; and
    says which frames a run takes and how many samples would fail
    --num-frames, --fps, --max-frames, --indices, --times, --task, and words
    like media=qwen_vl   choose the frames of a folder or files, as above
    --workers N          media that are examined at the same time
    --full               decodes every frame, not only those that are taken
    --quick              only reads the indexes
    --all                lists also what is fine, and what was not looked at

  lmms media build-lance FOLDER | LIST TABLE [--json]
    writes videos to a Lance table, with which a run finds them by id; the
    same command goes on where it stopped. LIST is csv, tsv, jsonl or Parquet
    --id-column, --path-column, --url-column NAME    of the list
    --strict             a video that cannot be read is an error
    --no-resume, --no-verify, --batch-bytes N, --quiet

Exit codes: 0 all is fine, 2 words that make no sense, 4 media that are
missing, damaged or unreadable (the rest is shown). Rotation, variable rate
and duplicates are remarks, not faults.
"""

COMPARE = """\
lmms compare A B: is B better than A on the same documents?

  lmms compare outputs/old outputs/new
  lmms compare old new --fail-if 'mmmu_val worse 1pp p<0.05'
  lmms compare old new --fail-if '* maybe-worse 2pp'
  lmms compare old new --task 'mm*' --all-metrics --html compare.html

  A is the baseline, B the candidate: differences are B − A. A run is what
  `lmms show` takes, or samples files of lm-evaluation-harness or LMMs-Eval.
  Samples are paired by the content of their document, so both runs must have
  the same documents; failed samples are left out and counted.
  --task TASK          only these tasks: names or patterns, again or a,b
  --metric METRIC      instead of each task's first; --all-metrics: all
  --cluster KEY        samples with equal KEY are not independent; default:
                       what the task declares; none: all are
  --correct holm       p adjusted over all rows: holm, bh, by, none
  --confidence 0.95    of the intervals
  --common             leave out documents that only one run has
  --pair-by id         where there are no digests, or others' digests
  --flips N | all      flipped samples listed per direction (10; with more
                       than 4 rows none; --json and --html: all)
  --html FILE          one page: plot, table, flips side by side
  --max-lost 0.01      share of the pairs that may have failed, see below
  -q, --quiet          the table and the gates, without notes and flips
  --output-dir DIR     where names of runs are looked for
  --json

  --fail-if GATE       exit code 10 if GATE closes; may be given again
    GATE   TASK [METRIC] worse|better|different [MARGIN] [p<ALPHA]
           TASK may be a pattern, * is every task that is compared
    MARGIN 1pp: a hundredth on a scale from 0 to 1; 1%: a hundredth of A's
           value; 0.01: in the metric's own unit
           TASK [METRIC] maybe-worse MARGIN
           closes unless the runs show that B is not worse by MARGIN or more:
           with the one-sided interval of --confidence. Too few samples close
           it, too: lmms power says how many
    Any other gate closes where B is worse (better, different) by at least
    MARGIN and the two-sided p is below ALPHA; what is left out is not asked. p
    is adjusted over the rows that gates ask about, not over all that are shown.
    Every gate closes too where a number that it needs is not available, and
    where a larger share of the pairs than --max-lost (0.01) failed, has a
    score on one side only or is not in B (--common), and for tasks that B did
    not run: what is left would be no fair picture.

Exit codes: 0, 10 a gate closed, 2 the runs or words do not fit together
"""

POWER = """\
lmms power --effect E: how many samples show a difference between two models

  lmms power --effect 3pp
  lmms power --effect 3pp --from outputs/old outputs/new --task mmmu_val
  lmms power --effect 0.03 --n 1000 --correlation 0.7 --design-effect 1.4

  --effect E           the difference, 0.03 or 3pp
  --n N                what N samples can show
  --power 0.8          chance of finding the difference; --alpha 0.05: level
  --from A B           measures variance, correlation, design effect and
                       repeats on two runs; --task T, --metric M, --cluster KEY,
                       --common, --pair-by id, --output-dir as in compare;
                       gives between what the samples needed lie
  --std-a, --std-b, --correlation     of the samples' scores: 0.5, 0.5, 0.5
  --design-effect D    with clusters, as compare shows it: 1
  --repeats K | KA,KB  answers per question; needs --from runs with repeats, or
                       --omega2 V (variance of the questions' differences) and
                       --sigma2 V | VA,VB (of the answers to one question)
  --json

Normal approximation of the two-sided paired test.
"""

VERSION = """\
lmms version: versions of lmms and of what can change a result

  --json
"""

COMPLETION = """\
lmms completion bash | zsh | fish: prints the script

  bash   lmms completion bash >> ~/.bashrc
  zsh    lmms completion zsh >> ~/.zshrc
  fish   lmms completion fish > ~/.config/fish/completions/lmms.fish
"""

TEXTS = {
    "": MAIN,
    "run": MAIN,
    "plan": PLAN,
    "ls": LS,
    "media": MEDIA,
    "show": SHOW,
    "compare": COMPARE,
    "power": POWER,
    **adaptive_help.TEXTS,
    "version": VERSION,
    "completion": COMPLETION,
}
