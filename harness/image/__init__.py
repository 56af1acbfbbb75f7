"""What goes into the image of a host: its Dockerfile, and the programs `train`, `serve` and `idle`."""
