"""The parts of `hip_fracture`: what a table says, which films are pelves, what is measured."""
