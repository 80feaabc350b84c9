"""Small invented documents in the schemas of MMMU, MME, GSM8K and HellaSwag.

They show that a task's whole path works without a network. The canary was not trained for them.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from tools.embedded.scene import Scene

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(folder: Path) -> None:
    """Write the four data sets below ``folder``."""
    write_mmmu(folder / "mmmu")
    write_mme(folder / "mme")
    write_gsm8k(folder / "gsm8k")
    write_hellaswag(folder / "hellaswag")


def subtitles(number: int, scene: Scene) -> list[dict[str, Any]]:
    """Subtitles that say nothing about the picture, in both forms that LongVideoBench knows."""
    lines = ("Soft music plays.", "Somebody hums.", "A door closes.", "Rain falls.", "Silence.")
    end = float(scene.sampled_times()[-1])
    gap = end / len(lines)
    spans = [(i * gap + 0.5, i * gap + 0.5 + 0.3 * gap) for i in range(len(lines))]
    if number % 2:
        return [
            {"timestamp": [round(begin, 3), round(stop, 3)], "text": line}
            for (begin, stop), line in zip(spans, lines, strict=True)
        ]
    return [
        {"start": _clock(begin), "end": _clock(stop), "line": line}
        for (begin, stop), line in zip(spans, lines, strict=True)
    ]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes // 60):02d}:{int(minutes % 60):02d}:{rest:06.3f}"


def png(image: Image.Image) -> dict[str, Any]:
    """An image as the hub's Parquet files hold it."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return {"bytes": buffer.getvalue(), "path": None}


def bars(heights: dict[str, int]) -> Image.Image:
    """A bar chart with a label and the value at each bar."""
    image = Image.new("RGB", (160, 128), "white")
    draw = ImageDraw.Draw(image)
    top = max(heights.values())
    for i, (label, value) in enumerate(heights.items()):
        left = 12 + i * 36
        draw.rectangle((left, 108 - 80 * value // top, left + 22, 108), fill="steelblue")
        draw.text((left + 6, 112), label, fill="black")
        draw.text((left + 4, 94 - 80 * value // top), str(value), fill="black")
    return image


def figure(*shapes: tuple[str, str, tuple[int, int, int, int]]) -> Image.Image:
    """Ellipses, rectangles and lines: (kind, colour, box in pixels)."""
    image = Image.new("RGB", (128, 96), "white")
    draw = ImageDraw.Draw(image)
    for kind, colour, box in shapes:
        if kind == "ellipse":
            draw.ellipse(box, fill=colour)
        elif kind == "rectangle":
            draw.rectangle(box, fill=colour)
        else:
            draw.line(box, fill=colour, width=3)
    return image


def sign(*lines: str) -> Image.Image:
    """Black text on a white card."""
    image = Image.new("RGB", (160, 96), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((2, 2, 157, 93), outline="black")
    for i, line in enumerate(lines):
        draw.text((12, 12 + 16 * i), line, fill="black")
    return image


def write_mmmu(folder: Path) -> None:
    """``validation.parquet``: multiple choice, two open questions, one with two images."""
    triangle = figure(
        ("line", "black", (20, 80, 110, 80)),
        ("line", "black", (20, 80, 20, 20)),
        ("line", "black", (20, 20, 110, 80)),
    )
    sales = bars({"P": 20, "Q": 35, "R": 50, "S": 15})
    left, right = (10, 10, 60, 80), (70, 20, 118, 70)
    rows = [
        _mmmu("Math", 1, "What kind of triangle does <image 1> show?", [triangle],
              ["equilateral", "right-angled", "obtuse", "isosceles and obtuse"], "B"),
        _mmmu("Economics", 1, "Product <image 1> sold in units: which one sold most?", [sales],
              ["P", "Q", "R", "S"], "C"),
        _mmmu("Accounting", 1, "According to <image 1>, how many units were sold in total?",
              [sales], [], "120"),
        _mmmu("Art", 1, "Which picture is built from one warm and one cold colour?"
              " First: <image 1> Second: <image 2>",
              [figure(("rectangle", "red", left), ("ellipse", "orange", right)),
               figure(("rectangle", "red", left), ("ellipse", "blue", right))],
              ["the first", "the second", "both", "neither"], "B"),
        _mmmu("Physics", 1, "A stone falls freely from rest as noted in <image 1>."
              " How fast is it at the end, in m/s?", [sign("g = 10 m/s2", "t = 3 s")], [], "30"),
        _mmmu("Geography", 1, "On the map in <image 1> north is up. Where does the lake (blue)"
              " lie as seen from the town (black)?",
              [figure(("rectangle", "black", (56, 40, 72, 56)),
                      ("ellipse", "blue", (90, 36, 120, 60)))],
              ["north", "east", "south", "west"], "B"),
        _mmmu("Computer_Science", 1, "What does the program in <image 1> print?",
              [sign("x = 2", "for i in range(3):", "    x = x * 2", "print(x)")],
              ["6", "8", "16", "32"], "C"),
        _mmmu("Public_Health", 1, "Cases per week are given in <image 1>. In which week did the"
              " count fall for the first time?", [bars({"1": 10, "2": 30, "3": 45, "4": 25})],
              ["week 1", "week 2", "week 3", "week 4"], "D"),
    ]  # fmt: skip
    images = [f"image_{i}" for i in range(1, 8)]
    text = ["id", "question", "options", "explanation", "answer", "question_type",
            "topic_difficulty", "subfield", "img_type"]  # fmt: skip
    schema = pa.schema(
        [(name, pa.string()) for name in text[:3]]
        + [(name, pa.string()) for name in text[3:4]]
        + [(name, _IMAGE) for name in images]
        + [(name, pa.string()) for name in text[4:]]
    )
    _write_parquet(rows, schema, folder / "validation.parquet")


def _mmmu(
    subject: str,
    number: int,
    question: str,
    images: list[Image.Image],
    options: list[str],
    answer: str,
) -> dict[str, Any]:
    row: dict[str, Any] = {f"image_{i}": None for i in range(1, 8)}
    row |= {f"image_{i}": png(image) for i, image in enumerate(images, start=1)}
    return row | {
        "id": f"validation_{subject}_{number}",
        "question": question,
        "options": repr(options),
        "explanation": "",
        "answer": answer,
        "question_type": "multiple-choice" if options else "open",
        "topic_difficulty": "Easy",
        "subfield": subject.replace("_", " "),
        "img_type": "['Drawings']",
    }


def write_mme(folder: Path) -> None:
    """``test.parquet``: two questions per image, answered yes and no."""
    disc = figure(("ellipse", "green", (40, 20, 90, 70)))
    three = figure(*(("ellipse", "navy", (8 + 40 * i, 30, 36 + 40 * i, 58)) for i in range(3)))
    sides = figure(("rectangle", "red", (8, 30, 48, 70)), ("rectangle", "gold", (80, 30, 120, 70)))
    items = [
        ("existence", disc, "Is there a disc in this image?", "Is there a ladder in this image?"),
        ("count", three, "Are there three discs in this image?",
         "Are there five discs in this image?"),
        ("color", disc, "Is the disc green?", "Is the disc purple?"),
        ("position", sides, "Is the red square on the left of the yellow one?",
         "Is the red square on the right of the yellow one?"),
        ("OCR", sign("HARBOUR", "CAFE"), 'Is the word in the first line "HARBOUR"?',
         'Is the word in the first line "HARVEST"?'),
        ("numerical_calculation", sign("7 + 12 = ?"), "Is the answer to the sum in the image 19?",
         "Is the answer to the sum in the image 21?"),
        ("code_reasoning", sign("a = 4", "b = a - 1", "print(b)"),
         "Does the code in the image print 3?", "Does the code in the image print 5?"),
        ("commonsense_reasoning", sign("WET PAINT"),
         "Should one avoid touching what this card hangs on?",
         "Is it a good idea to lean on what this card hangs on?"),
    ]  # fmt: skip
    rows = []
    for number, (category, image, yes, no) in enumerate(items):
        for question, answer in ((yes, "Yes"), (no, "No")):
            rows.append(
                {
                    "question_id": f"{category}/{number:04d}.png",
                    "image": png(image),
                    "question": f"{question} Please answer yes or no.",
                    "answer": answer,
                    "category": category,
                }
            )
    fields = [("question_id", pa.string()), ("image", _IMAGE)]
    fields += [(name, pa.string()) for name in ("question", "answer", "category")]
    _write_parquet(rows, pa.schema(fields), folder / "test.parquet")


_GSM8K = (
    ("A baker fills 6 trays with 8 rolls each and sells 29 rolls. How many rolls are left?",
     "The trays hold 6 * 8 = <<6*8=48>>48 rolls.\nAfter that 48 - 29 = <<48-29=19>>19 are left.",
     "19"),
    ("Mira reads 14 pages on Monday and twice as many on Tuesday. How many pages is that?",
     "On Tuesday she reads 14 * 2 = <<14*2=28>>28 pages.\nTogether 14 + 28 = <<14+28=42>>42 pages.",
     "42"),
    ("A rope of 36 metres is cut into 4 equal parts. How long are 3 parts, in metres?",
     "One part is 36 / 4 = <<36/4=9>>9 metres.\nThree are 9 * 3 = <<9*3=27>>27 metres.", "27"),
    ("Tickets cost $7 for adults and $4 for children. What do 2 adults and 5 children pay?",
     "Adults pay 2 * 7 = $<<2*7=14>>14.\nChildren pay 5 * 4 = $<<5*4=20>>20.\n"
     "Together 14 + 20 = $<<14+20=34>>34.", "34"),
    ("A tank holds 250 litres. 3 buckets of 18 litres are taken out. How much stays inside?",
     "The buckets take 3 * 18 = <<3*18=54>>54 litres.\n250 - 54 = <<250-54=196>>196 litres stay.",
     "196"),
    ("Jon walks 5 km a day for a week and 9 km on one more day. How far does he walk?",
     "In the week he walks 5 * 7 = <<5*7=35>>35 km.\nIn all 35 + 9 = <<35+9=44>>44 km.", "44"),
    ("A shop sells 1,200 pens in boxes of 24. How many boxes is that?",
     "1,200 / 24 = <<1200/24=50>>50 boxes.", "50"),
    ("Lea has 3 times as many stamps as Tom, who has 27. How many do both have together?",
     "Lea has 3 * 27 = <<3*27=81>>81 stamps.\nTogether 81 + 27 = <<81+27=108>>108.", "108"),
    ("A bus starts with 31 people. 12 get off and 7 get on. How many are on the bus now?",
     "31 - 12 = <<31-12=19>>19 stay.\n19 + 7 = <<19+7=26>>26 are on the bus.", "26"),
    ("Each of 9 shelves carries 15 books; 40 books are lent. How many are on the shelves?",
     "There are 9 * 15 = <<9*15=135>>135 books.\n135 - 40 = <<135-40=95>>95 are left.", "95"),
    ("A film of 2 hours is shown in parts of 30 minutes. How many parts are there?",
     "2 hours are 2 * 60 = <<2*60=120>>120 minutes.\n120 / 30 = <<120/30=4>>4 parts.", "4"),
    ("Ana saves $15 a month for 8 months and then spends $65. How much has she left?",
     "She saves 15 * 8 = $<<15*8=120>>120.\nShe has 120 - 65 = $<<120-65=55>>55 left.", "55"),
    ("A field is 40 m long and 25 m wide. How long is a fence around it, in metres?",
     "Both sides are 40 + 25 = <<40+25=65>>65 metres.\nAround it is 65 * 2 = <<65*2=130>>130.",
     "130"),
    ("Of 60 seeds a third do not grow. How many plants are there?",
     "60 / 3 = <<60/3=20>>20 do not grow.\n60 - 20 = <<60-20=40>>40 plants grow.", "40"),
    ("A printer makes 12 pages a minute. How many pages does it make in a quarter of an hour?",
     "A quarter of an hour has 60 / 4 = <<60/4=15>>15 minutes.\n12 * 15 = <<12*15=180>>180 pages.",
     "180"),
    ("Paul is 4 years younger than Eva. Together they are 30. How old is Eva?",
     "Without the difference they would be 30 + 4 = <<30+4=34>>34 together.\n"
     "Eva is 34 / 2 = <<34/2=17>>17.", "17"),
)  # fmt: skip


def write_gsm8k(folder: Path) -> None:
    """``test.jsonl`` and ``train.jsonl``: word problems whose answer ends in ``#### n``."""
    rows = [
        {"question": question, "answer": f"{steps}\n#### {result}"}
        for question, steps, result in _GSM8K
    ]
    _write_lines(rows[:8], folder / "test.jsonl")
    _write_lines(rows[8:], folder / "train.jsonl")


_HELLASWAG: tuple[tuple[str, str, str, tuple[str, str, str, str], int], ...] = (
    ("Baking bread", "A woman kneads dough on a table.", "she",
     ("puts it into a bowl and covers it with a cloth.", "throws the table out of the window.",
      "reads it a letter from the bank.", "swims through it to the other shore."), 0),
    ("Cleaning windows", "A man sprays soap onto a large window.", "then he",
     ("drinks the ladder slowly.", "paints a fish on his shoe.",
      "wipes it off with a rubber blade.", "sells the sky to a friend."), 2),
    ("Changing a tire", "The car stands on a jack at the side of the road.", "the driver",
     ("sings to the traffic lights until they melt.", "loosens the nuts and takes the wheel off.",
      "folds the road and puts it away.", "combs the engine."), 1),
    ("Playing chess", "Two players sit down at a board.", "one of them",
     ("eats the clock with a spoon.", "plants a tree on the board.",
      "dives under the water.", "moves a pawn forward two squares."), 3),
    ("How to repot a plant", "[header] How to repot a plant [title] Choose a new pot.", "pick one",
     ("that is a little wider than the old one.", "that can sing in two languages.",
      "and bury it under the motorway.", "whose bottom is made of smoke."), 0),
    ("Brushing teeth", "A boy puts paste onto his brush.", "he",
     ("hangs it on the moon.", "brushes up and down in front of a mirror.",
      "drives it to the station.", "frames it."), 1),
    ("Making tea", "Water boils in a kettle.", "a girl",
     ("ties the steam into a knot.", "asks the kettle for its passport.",
      "pours it over the leaves and waits.", "nails it to the wall."), 2),
    ("Ice skating", "A man laces up his skates beside the rink.", "he",
     ("cooks the ice in a pan.", "mows the rink.", "writes his name on the wind.",
      "steps onto the ice and glides away."), 3),
    ("Washing a dog", "A dog stands in a tub full of foam.", "its owner",
     ("rinses it with a shower head.", "posts it to the north.", "reads the foam aloud.",
      "sharpens it with a stone."), 0),
    ("Sharpening a pencil", "A pupil turns a pencil in a sharpener.", "shavings",
     ("apply for a job.", "fall onto the desk.", "drive home.", "vote."), 1),
    ("Rowing", "Eight rowers sit in a long boat.", "they",
     ("fry the oars.", "unscrew the river.", "pull at the same time.", "iron the water."), 2),
    ("Planting bulbs", "A gardener digs a row of small holes.", "she",
     ("fills them with thunder.", "rolls them up.", "teaches them to count.",
      "lays a bulb into each and covers it with soil."), 3),
    ("Ironing clothes", "A shirt lies on the board.", "a man",
     ("moves the hot iron over its sleeve.", "asks it for the time.", "milks it.",
      "rides it to work."), 0),
    ("Throwing darts", "A woman aims at the board on the wall.", "the dart",
     ("orders soup.", "hits close to the centre.", "falls asleep.", "learns to knit."), 1),
    ("Building a campfire", "Dry sticks are piled up in a ring of stones.", "somebody",
     ("teaches them French.", "drinks the stones.", "lights them with a match.",
      "rents them a flat."), 2),
    ("Painting a fence", "A girl opens a can of white paint.", "she",
     ("combs it.", "sends it to school.", "weighs the shade.",
      "dips her brush in and starts with the first board."), 3),
    ("Fixing a bicycle", "The chain has come off the wheel.", "a boy",
     ("lifts it back onto the teeth.", "feeds it with hay.", "sings it to sleep.",
      "pours it into a glass."), 0),
    ("Shaving", "A man spreads foam on his cheeks.", "then he",
     ("forgets the ocean on a chair.", "draws the razor down slowly.", "rows across the mirror.",
      "salts the lamp."), 1),
)  # fmt: skip


def write_hellaswag(folder: Path) -> None:
    """``validation.jsonl`` and ``train.jsonl`` with the raw columns; the label is a string."""
    rows = []
    for index, (label, first, second, endings, right) in enumerate(_HELLASWAG):
        split = "val" if index < 8 else "train"
        rows.append(
            {
                "ind": index,
                "activity_label": label,
                "ctx_a": first,
                "ctx_b": second,
                "ctx": f"{first} {second}",
                "endings": list(endings),
                "source_id": f"embedded~{index}",
                "split": split,
                "split_type": "indomain",
                "label": str(right),
            }
        )
    _write_lines(rows[:8], folder / "validation.jsonl")
    _write_lines(rows[8:], folder / "train.jsonl")


def _write_parquet(rows: list[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def _write_lines(rows: list[dict[str, Any]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
