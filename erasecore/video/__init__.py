"""Films in and out: probe, planes, reader, writer, assemble, verify."""
