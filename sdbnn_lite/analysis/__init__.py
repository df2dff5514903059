"""Committed results: studies and publishing write them, the rest reads them in numbers and sentences."""
