"""What the operating system asks of us: files, signals, terminal, machine, errors."""
