"""A script that does nothing but print: what remains is the cost of keeping its log."""

import time

LINES = 100_000

began = time.perf_counter()
for number in range(LINES):
    print("line", number, "of a script that prints more than anybody reads")
print(f"printed {LINES} lines in {time.perf_counter() - began:.4f} s")
