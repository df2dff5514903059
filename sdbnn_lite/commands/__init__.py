"""What each command does, one topic a file; ``cli`` reads the command line and calls one of these.

The imports stand inside the functions: a command needs only the packages of its own work.
"""
