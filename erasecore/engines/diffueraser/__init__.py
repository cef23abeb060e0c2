"""The DiffuEraser engine: networks, sampler and loader; the only package that imports torch."""
