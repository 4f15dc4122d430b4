"""What a run's discriminator thinks of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.verbs.catalogue import able
from limner.verbs.run import Run, open


@dataclass(frozen=True)
class Critique:
    """Scores of picture files, in the order in which they were named; higher is more like the training pictures."""

    run: str
    files: tuple[str, ...]
    scores: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        said = [{"file": file, "score": score} for file, score in zip(self.files, self.scores, strict=True)]
        return {"run": self.run, "pictures": said, "mean": sum(self.scores) / len(self.scores)}

    def text(self) -> str:
        """A table, the best first."""
        order = sorted(range(len(self.files)), key=lambda i: -self.scores[i])
        rows = [f"{self.scores[i]:10.3f}  {self.files[i]}" for i in order]
        mean = sum(self.scores) / len(self.scores)
        return "\n".join([f"{'score':>10}  picture", *rows, f"{mean:10.3f}  mean of {len(rows):,}"])


def critique(
    run: str | Path | Run,
    files: Sequence[str | Path],
    *,
    label: Any = None,
    crop: str = "center",
    device: str = "auto",
) -> Critique:
    """How real the discriminator of a run takes pictures for.

    Args:
        run: opened, by name, by path, or "latest".
        files: picture files, and folders of them; scaled to the run's size.
        label: what they are to be judged as, as in `sample`: one for all, or a list, begun again when it ends. Left
            open unless given.
        crop: how others become the run's size: "center", "fit" or "stretch".

    Raises:
        UserError: a run without a discriminator, a file that is no picture.
    """
    from limner.api import needs
    from limner.data import files as disk
    from limner.tasks import critique as task
    from limner.tasks.sample import labels_of

    opened = open(run)
    _, model = opened._model(device)
    needs(model, "critique", able("critique"))
    paths = disk.named(files)
    pixels = opened._pixels(model, paths, crop)
    scores = task.critique(model, pixels, labels_of(model.spec, label, len(paths)))
    return Critique(str(opened.path), tuple(map(str, paths)), tuple(map(float, scores)))
