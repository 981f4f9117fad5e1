"""The machine: caches, memory, GPUs, shared libraries, closing."""
