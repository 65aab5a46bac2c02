"""What is measured, as pure functions of arrays; this folder knows numpy and scipy only."""
