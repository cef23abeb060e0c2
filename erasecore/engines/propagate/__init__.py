"""CPU engine: flow-guided propagation of real pixels, spatial inpainting where none is visible."""
