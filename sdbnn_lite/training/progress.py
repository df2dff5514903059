"""Where a training run stands, and the row that each finished epoch leaves in log.csv."""

from dataclasses import dataclass

from ..core.binarize import ede_schedule
from .evaluate import Score
from .recipe import Recipe


@dataclass
class Progress:
    """``epoch`` epochs are finished and ``step`` steps of the next one, with their sums over ``seen`` images."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0

    def finish_epoch(self) -> None:
        """Move on to the next epoch, with empty sums."""
        self.__init__(epoch=self.epoch + 1)

    def __str__(self) -> str:
        return f"epoch {self.epoch}" if self.step == 0 else f"epoch {self.epoch + 1}, step {self.step}"

    @property
    def text(self) -> str:
        """The running figures, for the progress bar."""
        mean, share, rate = self.loss_sum / self.seen, self.correct / self.seen, self.seen / self.seconds
        return f"loss {mean:.3f}, acc {share:.1%}, {rate:,.0f} images/s"

    def row(self, recipe: Recipe, score: Score) -> dict:
        """The epoch's row: schedules, training figures (on the way, augmented), test figures, speed."""
        return {
            "epoch": self.epoch + 1,
            "ede_t": ede_schedule(self.epoch, recipe.epochs, *recipe.ede),
            "lr": recipe.lr_at(self.epoch),
            "train_loss": self.loss_sum / self.seen,
            "train_accuracy": self.correct / self.seen,
            "test_loss": score.loss,
            "test_accuracy": score.top1,
            "test_top5": score.top5,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.seen / self.seconds, 1),
        }
