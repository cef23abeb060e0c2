"""Motion between frames: optical flow, affine registration, resampling, spatial inpainting."""
