"""Programs: what the reference executor on a microcontroller runs, packed here from a .tflite file."""

from __future__ import annotations

from edgeprof.program.packing import Program, ProgramOperator, ProgramTensor, pack_program

__all__ = ["Program", "ProgramOperator", "ProgramTensor", "pack_program"]
