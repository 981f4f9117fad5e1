"""The files of a score: page, figures, single answers, pictures of confusions."""

import csv
import json
from pathlib import Path

from sfedge.core.errors import OutputError
from sfedge.scoring.confusion_picture import draw_confusion
from sfedge.scoring.markdown import title_of, to_markdown
from sfedge.scoring.score import Score
from sfedge.scoring.tables import answer_rows, to_json

PAGE, FIGURES, ANSWERS = "score.md", "score.json", "answers.csv"


def write_score(out: Path, score: Score) -> None:
    """Write all files of a score into the folder `out`, over those of an earlier one.

    Raises:
        OutputError: they cannot be written.
    """
    columns, rows = answer_rows(score)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / PAGE).write_text(to_markdown(score), encoding="utf-8")
        text = json.dumps(to_json(score), indent=1, ensure_ascii=False)
        (out / FIGURES).write_text(text + "\n", encoding="utf-8")
        with (out / ANSWERS).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
        for name, of in score.tasks.items():
            if of.labels:
                picture = draw_confusion(of.confusion, of.labels, title_of(of))
                picture.save(out / f"confusion-{name}.png")
    except OSError as error:
        raise OutputError(f"this folder cannot be written ({error})", where=str(out)) from error
