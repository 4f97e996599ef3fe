"""Makes `flowers.parquet`: 60 rows in three groups, with columns of every kind that is read, packed in every way that is.

    pip install pyarrow
    python make.py
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = range(60)


def size(row, column):
    """Which of three columns is large says the class."""
    return (row % 3 == column) + (row * 7 + column * 13) % 11 / 20


def main():
    table = pa.table(
        {
            "float": pa.array([size(row, 0) for row in ROWS], pa.float32()),
            "double": pa.array([size(row, 1) for row in ROWS], pa.float64()),
            "half": pa.array([size(row, 2) for row in ROWS], pa.float16()),
            "wet": pa.array([row % 2 == 0 for row in ROWS], pa.bool_()),
            "count": pa.array([row - 30 for row in ROWS], pa.int64()),
            "kind": pa.array([row % 3 for row in ROWS], pa.uint8()),
            # One beyond what is read exactly, in row 41.
            "serial": pa.array([2**53 + (row == 41) for row in ROWS], pa.uint64()),
            "gap": pa.array([None if row == 5 else row for row in ROWS], pa.int32()),
            "name": pa.array([f"flower {row}" for row in ROWS]),
        }
    )
    packed = ["snappy", "gzip", "lz4", "none"]
    packing = {name: packed[at % 4] for at, name in enumerate(table.column_names)}
    to = Path(__file__).with_name("flowers.parquet")
    pq.write_table(table, to, row_group_size=20, compression=packing)


if __name__ == "__main__":
    main()
