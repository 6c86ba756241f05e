"""What file systems offer and lack: the system calls, their fallbacks, locks, and free space."""
