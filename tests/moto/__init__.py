"""moto's own tests, run against the AWS door: `python -m tests.moto`. They are fetched, and are no part of this."""
