"""The parts of `teeth`: numbers, the rules that correct them, conditions, the chart."""
