"""Independent ways to solve the scheduling problem, for comparison: enumeration, MILP, CP-SAT, min cut."""
