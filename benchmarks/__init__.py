"""`make bench`: what the harness costs, side by side with what people use without it, in one run on one machine."""
