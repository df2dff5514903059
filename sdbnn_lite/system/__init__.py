"""Files, locks, signals, threads and devices, and what this machine is."""
