collect_ignore = ["example.py"]  # it imports what `test_clients` generates, and runs in a process of its own
