"""What each command takes and does, one topic a file.

The imports stand inside the functions: a command loads only the packages of its own work.
"""
