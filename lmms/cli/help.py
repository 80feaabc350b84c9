"""The help texts. No imports: `lmms --help` is the first thing that a person waits for."""

from __future__ import annotations

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
  4 media    5 model or network    6 scoring    130 interrupted
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
    "version": VERSION,
    "completion": COMPLETION,
}
