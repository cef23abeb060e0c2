"""The DiffuEraser engine: networks, sampler and loader; the only package that imports torch."""

import os

# Before torch is imported: its threads are not to spin while they wait for each other. On a machine
# that does anything else besides, spinning made the networks ten times slower on the CPU.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
