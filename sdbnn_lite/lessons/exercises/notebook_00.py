"""Notebook 00's one exercise, which shows how exercises work."""

from . import Exercise

EXERCISES = {
    "sum": Exercise(
        lambda total: total == sum([+1] * 150 + [-1] * 138),
        right="150 times +1 and 138 times -1.",
        hint="Count the -1 products first: all of the 288 that aren't +1.",
        solution="my_sum = 150 - (288 - 150)",
    ),
}
