"""Video input and output: probe, pixel planes, reader, writer, assemble (mux), verify."""
