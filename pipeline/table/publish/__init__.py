"""The published set of a task: few large Parquet files with the newest row of each recording."""

from pipeline.table.publish.withdrawing import withdraw

__all__ = ["withdraw"]
