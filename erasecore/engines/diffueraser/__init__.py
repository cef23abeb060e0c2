"""DiffuEraser engine: video diffusion inpainting; the only package that imports torch."""

import os

# Set before torch is imported: OpenMP threads must not spin while they wait for each other. On a
# machine that runs anything else, spinning made the model ten times slower on the CPU (measured).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
