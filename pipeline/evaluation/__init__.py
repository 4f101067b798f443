"""Scores of a table: its committed rows beside their references, as figures, a page of Markdown and pictures."""
