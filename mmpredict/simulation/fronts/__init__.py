"""What stands before the servers and decides which of them run: by the rules of real programs, one file each."""
