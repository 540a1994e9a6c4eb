"""Where a run stands, and what its validation losses mean for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .recipe import Recipe


@dataclass
class Progress:
    """With the tensors, it is all that a resumed run needs."""

    random: dict[str, Any]  # state of the clips' generator before the clips in hand were drawn
    chunk: int = 0  # the next chunk of these clips
    step: int = 0
    elapsed_s: float = 0.0
    audio_s_seen: float = 0.0
    silent_clips_skipped: int = 0
    best_validation_loss: float | None = None
    best_step: int = 0
    lowered_step: int = 0
    plateau: float = 1.0  # factor on the learning rate

    def note_validation(self, loss: float | None, recipe: Recipe) -> bool:
        """Is this the best model so far? Without validation the last one is. Lowers the plateau's factor in time."""
        if loss is None or self.best_validation_loss is None or loss < self.best_validation_loss:
            self.best_validation_loss, self.best_step = loss, self.step
            return True
        if self.step - max(self.best_step, self.lowered_step) >= recipe.plateau_patience_steps:
            lowest = recipe.lowest_learning_rate / recipe.learning_rate
            self.plateau = max(self.plateau * recipe.plateau_factor, lowest)
            self.lowered_step = self.step
        return False
