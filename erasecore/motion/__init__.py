"""How the picture moves: optical flow, affine motion, resampling, spatial inpainting."""
