"""The published set of a task: few large Parquet files with the newest row of each recording."""

from pipeline.table.publish.opening import read_published
from pipeline.table.publish.publishing import Published, publish
from pipeline.table.publish.withdrawing import withdraw

__all__ = ["Published", "publish", "read_published", "withdraw"]
