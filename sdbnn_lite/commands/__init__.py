"""What each command takes and does, one topic a file: ``add_NAME`` declares its options, ``run_NAME`` does it.

The imports stand inside the functions: a command loads only the packages of its own work.
"""
