"""What the command line takes, one module for each part; what a command does is imported when it runs."""
